/* How often a flash interface has to read its array: two caches of lines, one for instructions and one for data, each
 * with least recently used replacement within a set. Fed with the order in which a run executed its instructions. */
#include "flash_cache.h"

#define NONE 0xffffffffu

static void forget(tms_line_cache *cache) {
    for (uint32_t i = 0; i < cache->sets * cache->ways; i++) {
        cache->tags[i] = NONE;
    }
    cache->last = NONE;
    cache->misses = 0;
    cache->touches = 0;
}

void tms_flash_begin(tms_flash *flash) {
    forget(&flash->code);
    forget(&flash->data);
}

/* Most recently used first: a hit or a miss moves the lines before it back by one. */
static void touch(tms_line_cache *cache, uint32_t line) {
    if (line == cache->last) {
        return;
    }
    cache->last = line;
    cache->touches++;
    if (cache->ways == 0) {
        cache->misses++;
        return;
    }
    uint32_t *set = cache->tags + (line % cache->sets) * cache->ways;
    uint32_t i = 0, moved = line;
    for (; i < cache->ways; i++) {
        uint32_t held = set[i];
        set[i] = moved;
        if (held == line) {
            return;
        }
        moved = held;
    }
    cache->misses++;
}

static void touch_bytes(tms_line_cache *cache, uint32_t offset, uint32_t bytes) {
    uint32_t first = offset >> cache->shift, last = (offset + bytes - 1u) >> cache->shift;
    for (uint32_t line = first; line <= last; line++) {
        touch(cache, line);
    }
}

void tms_flash_fetch(tms_flash *flash, uint32_t address, uint32_t bytes) {
    uint32_t offset = address - flash->base;
    if (offset < flash->size) {
        touch_bytes(&flash->code, offset, bytes);
    }
}

void tms_flash_read(tms_flash *flash, uint32_t address, uint32_t bytes) {
    uint32_t offset = address - flash->base;
    if (offset < flash->size) {
        touch_bytes(&flash->data, offset, bytes);
    }
}

void tms_flash_run(tms_flash *flash, const uint32_t *pc, const uint8_t *pc_bytes, const uint32_t *address,
                   const uint8_t *address_bytes, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        tms_flash_fetch(flash, pc[i], pc_bytes[i]);
        if (address_bytes[i]) {
            tms_flash_read(flash, address[i], address_bytes[i]);
        }
    }
}
