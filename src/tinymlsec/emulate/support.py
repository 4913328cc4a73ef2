"""The few memory functions that compilers call by themselves, and the header that declares them.

zig brings the functions in its runtime library; gcc without a C library does not. The header is looked up last, so that
a C library's own comes first.
"""

from __future__ import annotations

FOLDER = "tms_support"

_HEADER = """\
/* Memory functions for firmware without a C library. */
#ifndef TMS_STRING_H
#define TMS_STRING_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
#ifdef __cplusplus
}
#endif
#endif
"""

_FUNCTIONS = """\
/* Weak: firmware may bring its own. The attribute keeps gcc from turning the loops into calls of themselves. */
#include <stddef.h>
#include <stdint.h>
#define PLAIN __attribute__((weak, used, optimize("no-tree-loop-distribute-patterns")))

typedef uint32_t __attribute__((may_alias)) word;

PLAIN void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((((uintptr_t)out | (uintptr_t)in) & 3u) == 0) {
        for (; bytes >= 4; bytes -= 4, out += 4, in += 4)
            *(word *)out = *(const word *)in;
    }
    while (bytes--)
        *out++ = *in++;
    return to;
}

PLAIN void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out - (uintptr_t)in >= bytes)
        return memcpy(to, from, bytes);
    while (bytes--)
        out[bytes] = in[bytes];
    return to;
}

PLAIN void *memset(void *to, int value, size_t bytes)
{
    uint8_t *out = to;
    const uint32_t four = (uint8_t)value * 0x01010101u;
    if (((uintptr_t)out & 3u) == 0) {
        for (; bytes >= 4; bytes -= 4, out += 4)
            *(word *)out = four;
    }
    while (bytes--)
        *out++ = (uint8_t)value;
    return to;
}

PLAIN int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;
    for (; bytes; bytes--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

PLAIN size_t strlen(const char *text)
{
    const char *end = text;
    while (*end)
        end++;
    return (size_t)(end - text);
}
"""


def files_for(toolchain: str) -> dict[str, str]:
    """Files that a build with this toolchain adds to the firmware's own."""
    header = {f"{FOLDER}/string.h": _HEADER}
    return header | {f"{FOLDER}/string.c": _FUNCTIONS} if toolchain == "gcc" else header
