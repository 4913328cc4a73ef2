/* Two line caches in front of a flash. The owner of the memory lays out `tags` with sets * ways words. */
#ifndef TMS_FLASH_CACHE_H
#define TMS_FLASH_CACHE_H

#include <stdint.h>

typedef struct {
    uint32_t shift;   /* log2 of the bytes of a line */
    uint32_t sets;    /* 1 for a fully associative cache */
    uint32_t ways;    /* lines of a set; 0: every new line is read from the array */
    uint32_t last;    /* line touched last: its repetition costs nothing */
    uint32_t *tags;   /* per set, most recently used first */
    uint64_t misses;  /* lines read from the array */
    uint64_t touches; /* changes of the line */
} tms_line_cache;

typedef struct {
    uint32_t base; /* first address of the flash */
    uint32_t size; /* its bytes; accesses elsewhere are not its business */
    tms_line_cache code;
    tms_line_cache data;
} tms_flash;

void tms_flash_begin(tms_flash *flash);
void tms_flash_fetch(tms_flash *flash, uint32_t address, uint32_t bytes);
void tms_flash_read(tms_flash *flash, uint32_t address, uint32_t bytes);
void tms_flash_run(tms_flash *flash, const uint32_t *pc, const uint8_t *pc_bytes, const uint32_t *address,
                   const uint8_t *address_bytes, uint64_t count);

#endif
