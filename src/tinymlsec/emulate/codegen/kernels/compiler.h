/* What compilers call things. */
#ifndef TMS_COMPILER_H
#define TMS_COMPILER_H

#if defined(__GNUC__)
#define TMS_ALIGNED(n) __attribute__((aligned(n)))
#define TMS_WEAK __attribute__((weak))
#define TMS_NORETURN __attribute__((noreturn))
#else
#define TMS_ALIGNED(n) _Alignas(n)
#define TMS_WEAK
#define TMS_NORETURN
#endif

/* A layer is a function of its own, whatever compilers think of it: it is what measurements go by. One that has nothing
   to do says so, and is called all the same. */
#if defined(__clang__)
#define TMS_LAYER __attribute__((noinline))
#define TMS_NOTHING() __asm__ volatile("")
#elif defined(__GNUC__)
#define TMS_LAYER __attribute__((noipa))
#define TMS_NOTHING() __asm__ volatile("")
#else
#define TMS_LAYER
#define TMS_NOTHING() (void)0
#endif

/* A function whose loops are to have all registers for themselves: it is not merged into its callers. */
#if defined(__GNUC__)
#define TMS_APART __attribute__((noinline))
#else
#define TMS_APART
#endif

/* Ahead of a loop that stays as it is written: compilers would unroll it. */
#if defined(__clang__)
#define TMS_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define TMS_ROLLED _Pragma("GCC unroll 1")
#else
#define TMS_ROLLED
#endif

/* Pointers of an inner loop that are counted on each by itself: from what compilers know of where they come from, they
   would make one index for all and an addition for each. */
#if defined(__GNUC__)
#define TMS_UNTIE(p) __asm__("" : "+r"(p))
#else
#define TMS_UNTIE(p) (void)(p)
#endif

#endif
