/* The same for Armv6-M. */
    .syntax unified
    .thumb
    .section .text.zoo,"ax",%progbits
    .global zoo
    .type zoo,%function
    .thumb_func
zoo:
    push {r4-r7, lr}
    ldr r0, =zoo_data
    movs r1, #3
again:
    ldr r2, [r0, #4]
    lsls r3, r1, #2
    ldr r4, [r0, r3]
    ldrsb r5, [r0, r1]
    ldrsh r6, [r0, r3]
    ldrh r7, [r0, #2]
    str r2, [r0, #8]
    strb r2, [r0, r1]
    strh r2, [r0, #6]
    stmia r0!, {r2, r3, r4}
    subs r0, #12
    ldmia r0!, {r5, r6, r7}
    subs r0, #12
    push {r2}
    pop {r2}
    sub sp, #8
    str r3, [sp, #4]
    ldr r3, [sp, #4]
    add sp, #8
    muls r2, r3, r2
    movs r2, r2
    mov r8, r2
    add r8, r8
    rev r4, r2
    mrs r6, primask
    cmp r1, #2
    bgt over
    adds r2, #1
over:
    bl leaf
    ldr r4, =leaf
    blx r4
    subs r1, #1
    bpl again
    pop {r4-r7, pc}
    .align 2
    .pool
    .size zoo, . - zoo

    .section .text.leaf,"ax",%progbits
    .type leaf,%function
    .thumb_func
leaf:
    eors r2, r3
    bx lr
    .size leaf, . - leaf
