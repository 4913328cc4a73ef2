/* What defenses call; an application may bring its own of both. */
#ifndef TMS_RUNTIME_H
#define TMS_RUNTIME_H

#include <stdint.h>

#include "compiler.h"

/* A check has failed: something has been tampered with. Does not return. */
TMS_NORETURN void tms_detected(uint32_t code);

/* The next random number. */
uint32_t tms_random32(void);

/* State of the generator above, never 0; a tester sets it to repeat a run. */
extern uint32_t tms_random_state;

#endif
