/* The memory protection unit of Arm's M-profile (PMSAv7 and v8), for privileged code: what firmware has set up is held
 * against its accesses. The engine itself does not know it. */
#include "tracer.h"

#define CCR 0xe000ed14u /* traps of division by zero and unaligned accesses */
#define CTRL 0xe000ed94u
#define RNR 0xe000ed98u
#define RBAR 0xe000ed9cu
#define RASR 0xe000eda0u /* RLAR in v8 */
#define ALIASES 0xe000eda4u /* three more pairs of the two registers above */

static void region_v7(tms_mpu_region *m) {
    uint32_t size = m->rasr >> 1 & 31, ap = m->rasr >> 24 & 7;
    m->rights = 0;
    m->base = 1, m->end = 0;
    if (!(m->rasr & 1) || size < 4) return;
    uint64_t bytes = UINT64_C(2) << size;
    m->base = (uint32_t)(m->rbar & ~(uint32_t)(bytes - 1) & ~31u);
    m->end = (uint32_t)(m->base + (bytes - 1));
    if (ap == 1 || ap == 2 || ap == 3) m->rights = 3;
    if (ap == 5 || ap == 6 || ap == 7) m->rights = 1;
    if (m->rights && !(m->rasr >> 28 & 1)) m->rights |= 4;
}

static void region_v8(tms_mpu_region *m) {
    m->base = 1, m->end = 0, m->rights = 0;
    if (!(m->rasr & 1)) return;
    m->base = m->rbar & ~31u;
    m->end = m->rasr | 31u;
    m->rights = m->rbar >> 2 & 1 ? 1 : 3; /* AP[2]: read only */
    if (!(m->rbar & 1)) m->rights |= 4;
}

static void update(tms_tracer *t, uint32_t number) {
    if (t->traps & TMS_MPU_V8) region_v8(&t->mpu[number]);
    else region_v7(&t->mpu[number]);
}

int tms_system_register(uint32_t address) { return address >= CCR && address < ALIASES + 24; }

/* What firmware writes to the registers that decide about faults. */
void tms_system_written(tms_tracer *t, uint32_t address, uint32_t value) {
    if (address == CCR) t->control = value;
    if (address < CTRL) return;
    if (address == CTRL) {
        t->mpu_on = value & 1 ? 1 + (value & 4) : 0; /* 5: accesses outside of all regions are allowed */
    } else if (address == RNR) {
        t->mpu_number = value % TMS_MPU;
    } else {
        uint32_t which = address < ALIASES ? 0 : (address - ALIASES) / 8 + 1;
        uint32_t second = address < ALIASES ? address == RASR : (address - ALIASES) % 8 == 4;
        uint32_t v8 = t->traps & TMS_MPU_V8;
        if (!second && !v8 && (value & 16)) t->mpu_number = value & 15; /* VALID: the number comes with the address */
        uint32_t number = v8 ? (t->mpu_number & ~3u) + ((t->mpu_number & 3u) | which) : t->mpu_number;
        tms_mpu_region *m = &t->mpu[number % TMS_MPU];
        if (second) m->rasr = value;
        else m->rbar = value;
        update(t, number % TMS_MPU);
    }
}

static int disabled_part(const tms_tracer *t, const tms_mpu_region *m, uint32_t address) {
    uint32_t off = m->rasr >> 8 & 255;
    if ((t->traps & TMS_MPU_V8) || !off || (m->rasr >> 1 & 31) < 7) return 0;
    return off >> (((uint64_t)(address - m->base) * 8) / ((uint64_t)m->end - m->base + 1)) & 1;
}

static int forbidden_at(const tms_tracer *t, uint32_t address, uint32_t right) {
    for (int i = TMS_MPU - 1; i >= 0; i--) {
        const tms_mpu_region *m = &t->mpu[i];
        if (m->base > m->end || address < m->base || address > m->end || disabled_part(t, m, address)) continue;
        return (m->rights & right) != right;
    }
    return t->mpu_on != 5;
}

/* right: 1 read, 2 write, 4 execute */
int tms_forbidden(tms_tracer *t, uint32_t address, uint32_t bytes, uint32_t right) {
    if (address >= 0xe0000000u && address < 0xe0100000u) return 0;
    return forbidden_at(t, address, right) || forbidden_at(t, address + bytes - 1, right);
}
