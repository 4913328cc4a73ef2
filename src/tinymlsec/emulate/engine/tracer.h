/* What runs inside the emulator's hooks, so that no Python runs per instruction.
 *
 * The layouts of tms_step, tms_region, tms_record and tms_tracer are mirrored in library.py. Functions of the engine come
 * as pointers: nothing is linked, and this file builds without the engine's headers. */
#ifndef TMS_TRACER_H
#define TMS_TRACER_H

#include <stddef.h>
#include <stdint.h>

#include "flash_cache.h"

#define TMS_NONE 255u
#define TMS_REGISTERS 32
#define TMS_REGIONS 24
#define TMS_LAST 16
#define TMS_RANGES 16
#define TMS_MPU 16

/* Bits of tms_step.kind */
#define TMS_BRANCH 1u    /* may go on elsewhere */
#define TMS_SYNC 2u      /* writes registers that the decoder does not name: all are read again */
#define TMS_LOAD 4u
#define TMS_STORE 8u
#define TMS_IT 16u       /* makes the instructions that follow conditional */
#define TMS_INVALID 32u  /* no instruction */
#define TMS_WAITS 64u    /* waits for an interrupt */
#define TMS_SIGNED 128u  /* the quotient is signed */

/* Bits of tms_step.marks: where the tracer has more to do than to record. */
#define TMS_MARK_RECORD 1u
#define TMS_MARK_STOP 2u
#define TMS_MARK_DETECTED 4u
#define TMS_MARK_VISIT 8u
#define TMS_MARK_READY 128u /* marks were worked out */

/* An instruction as far as the tracer must know it. */
typedef struct {
    uint8_t size; /* bytes; 0: not decoded yet */
    uint8_t kind, marks;
    uint8_t width;       /* bytes of one transfer */
    uint8_t count;       /* transfers at addresses that follow each other; of IT: instructions that it makes conditional */
    uint8_t base, index; /* registers of the address, or TMS_NONE */
    uint8_t shift;       /* of the index */
    int32_t offset;      /* in bytes; the whole address where there is no base */
    uint32_t written;    /* core registers that it writes, one bit each; not the program counter */
    uint8_t first;       /* the register whose value is recorded, or TMS_NONE */
    uint8_t stored;      /* the register that a single store writes to memory, or TMS_NONE */
    uint8_t divisor;     /* the register that a division divides by, or TMS_NONE */
    uint8_t spare;
    uint32_t ran, marked; /* times executed; of these taken, or condition failed */
} tms_step;

/* A memory that firmware sees, held by this process. */
typedef struct {
    uint32_t base, size;
    uint8_t *host;
    uint32_t writable, executable;
    uint8_t *dirty;    /* one byte per block of 256: written since the snapshot that `clean` names */
    tms_step **pages;  /* decoded instructions, per page of 1024 bytes */
} tms_region;

typedef struct {
    uint32_t pc, value, bus, address;
    uint16_t hd, hw, bus_hd, bus_hw;
    uint32_t flags;
} tms_record;

/* Reasons for the end of a run; those from TMS_END_UNALIGNED on are faults that the tracer found itself. */
enum {
    TMS_END_NONE, TMS_END_DONE, TMS_END_LIMIT, TMS_END_DETECTED, TMS_END_FULL, TMS_END_WAITS, TMS_END_ENGINE,
    TMS_END_UNALIGNED, TMS_END_DIVISION, TMS_END_PROTECTED, TMS_END_INVALID, TMS_END_EXCEPTION, TMS_END_MISMATCH
};

/* What a run asks for */
#define TMS_WANT_REGISTERS 1u /* hamming weight and distance of destination registers */
#define TMS_WANT_BUS 2u
#define TMS_WANT_VALUES 4u
#define TMS_WANT_ADDRESSES 8u
#define TMS_WANT_RECORDS 16u
#define TMS_WANT_COUNTS 32u
#define TMS_WANT_FLASH 64u
#define TMS_WANT_VISITS 128u

/* Bits of tms_tracer.traps */
#define TMS_TRAP_DIVISION 1u
#define TMS_TRAP_DIVISION_BY_CONTROL 2u
#define TMS_TRAP_UNALIGNED 4u
#define TMS_TRAP_UNALIGNED_BY_CONTROL 8u
#define TMS_TRAP_MPU 16u
#define TMS_MPU_V8 32u /* regions as Armv8-M lays them out */

/* Kinds of faults that are injected */
enum { TMS_FAULT_NONE, TMS_FAULT_SKIP, TMS_FAULT_REGISTER, TMS_FAULT_MEMORY, TMS_FAULT_FETCH };

typedef int (*tms_decode)(uint32_t address, const uint8_t *bytes, uint32_t available, tms_step *out);

typedef struct {
    int (*reg_read)(void *, int, void *);
    int (*reg_write)(void *, int, const void *);
    int (*reg_read_batch)(void *, int const *, void **, int);
    int (*emu_start)(void *, uint64_t, uint64_t, uint64_t, size_t);
    int (*emu_stop)(void *);
    int (*context_alloc)(void *, void **);
    int (*context_save)(void *, void *);
    int (*context_restore)(void *, void *);
    int (*context_free)(void *);
    int (*hook_add)(void *, size_t *, int, void *, void *, uint64_t, uint64_t, ...);
    int (*hook_del)(void *, size_t);
    int (*ctl)(void *, int, ...);
} tms_engine;

typedef struct {
    uint32_t base, end, rights; /* [base, end]; rights: 1 read, 2 write, 4 execute */
    uint32_t rbar, rasr;
} tms_mpu_region;

typedef struct {
    tms_engine api;
    void *uc;
    int32_t ids[TMS_REGISTERS]; /* the engine's numbers of the core's registers */
    int32_t pc_id, status_id;
    uint32_t registers;         /* how many; on Arm r0 to r14 */
    uint32_t thumb;             /* 1 on Arm */
    tms_decode decode;
    tms_region regions[TMS_REGIONS];
    uint32_t region_count;

    /* What is asked of this run */
    uint32_t want, traps;
    uint32_t control; /* CCR of the core, where firmware switches traps on */
    uint64_t limit, check_at; /* instructions; the clock is looked at when the second is reached */
    double deadline;          /* on the monotonic clock, seconds */
    uint32_t stop, stop_hit, detected;
    uint32_t range_count, visit_count, range_from[TMS_RANGES], range_to[TMS_RANGES];
    const uint32_t *visit_at;
    tms_record *records;
    uint64_t record_limit;
    uint32_t *visits;
    uint64_t visit_limit;
    tms_flash *flash;
    uint32_t fault_kind, fault_mask, fault_where, fault_expected;
    uint64_t fault_index;

    /* State */
    uint32_t shadow[TMS_REGISTERS];
    uint32_t last[TMS_LAST];
    uint64_t n, made, visited, zero_divisions;
    uint32_t end, hits, hooked, watch_registers;
    uint32_t stepping;          /* 1: the corrupted instruction is the next; 2: it is being executed */
    uint32_t step_to, step_end; /* of a corrupted instruction in an IT block: where the block ends */
    uint32_t it_left;           /* instructions of an IT block still to come */
    uint32_t undo, undo_status, undo_next, undo_bytes;
    uint8_t undo_data[128];     /* what an instruction that is left out has overwritten */
    uint32_t resync; /* somebody else has written registers */
    uint32_t bus_last;
    tms_step *pending;
    tms_step pending_copy; /* of an instruction that lies in no memory of ours */
    uint32_t pending_pc, pending_address, pending_flags, pending_bus, pending_bus_hd, pending_bus_hw;
    uint32_t fault_pc, fault_address, fault_size, fault_type, fault_seen, interrupt, changed_code;
    uint32_t mpu_on, mpu_number;
    tms_mpu_region mpu[TMS_MPU];
    void *clean; /* snapshot that memory equals but for dirty blocks */
    size_t hooks[8];
    uint32_t hook_count;
    uint32_t block_end; /* of the block that runs, where only blocks are watched */

    /* A clock that rings where a block begins, once so many instructions have run */
    uint64_t tick_at;
    uint32_t tick_inside;        /* its handler is under way */
    uint32_t ringing;            /* it is due; it comes before the next instruction */
    int (*tick)(uint32_t pc);    /* 1 where it went elsewhere; NULL without a clock */
} tms_tracer;

typedef struct {
    void *context;
    uint8_t *copies[TMS_REGIONS];
    uint32_t control, mpu_on, mpu_number;
    tms_mpu_region mpu[TMS_MPU];
    uint64_t tick_left;
    uint32_t tick_inside;
} tms_snapshot;

/* tracer.c */
void tms_hook(tms_tracer *t, uint32_t how, uint32_t stop);
void tms_begin(tms_tracer *t);
int tms_go(tms_tracer *t, uint32_t from, uint32_t until);
void tms_marks_changed(tms_tracer *t);

/* memory.c */
tms_region *tms_region_of(tms_tracer *t, uint32_t address);
tms_step *tms_step_at(tms_tracer *t, uint32_t address);
void tms_touch(tms_region *r, uint32_t address, uint32_t bytes);
void tms_all_dirty(tms_tracer *t);
int tms_write(tms_tracer *t, uint32_t address, const uint8_t *data, uint32_t bytes);
void tms_forget_code(tms_tracer *t, tms_region *r, uint32_t offset, uint32_t bytes);
tms_snapshot *tms_snapshot_take(tms_tracer *t);
void tms_snapshot_restore(tms_tracer *t, tms_snapshot *s);
void tms_snapshot_free(tms_tracer *t, tms_snapshot *s);
void tms_counts_clear(tms_tracer *t);
uint64_t tms_counts_read(tms_tracer *t, uint32_t *addresses, uint32_t *pairs, uint64_t most);

/* inject.c */
int tms_inject(tms_tracer *t, tms_step *s, uint32_t pc);
int tms_ahead(tms_tracer *t, const tms_step *it, uint32_t pc);
void tms_keep(tms_tracer *t, const tms_step *s, uint32_t pc);
void tms_undo(tms_tracer *t, const tms_step *s);
int tms_step_corrupted(tms_tracer *t);

/* protect.c */
int tms_system_register(uint32_t address);
void tms_system_written(tms_tracer *t, uint32_t address, uint32_t value);
int tms_forbidden(tms_tracer *t, uint32_t address, uint32_t bytes, uint32_t right);

#endif
