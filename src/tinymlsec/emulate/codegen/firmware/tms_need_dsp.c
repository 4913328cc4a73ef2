/* The inner loops were generated for the DSP extension. Without it they would silently be ordinary C. */
#include <stdint.h>

#if !defined(__ARM_FEATURE_DSP) || !defined(__ARM_FEATURE_SIMD32)
#error "style dsp is built without the DSP extension: mend the compiler's -mcpu"
#endif

typedef int32_t tms_need_dsp;
