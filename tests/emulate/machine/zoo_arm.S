/* Every form of instruction that the tracer has to take apart. Registers r4 to r11 and the stack are kept. */
    .syntax unified
    .thumb
    .fpu fpv5-d16
    .section .text.zoo,"ax",%progbits
    .global zoo
    .type zoo,%function
    .thumb_func
zoo:
    push {r4-r11, lr}
    movs r1, #3
again:
    ldr r0, =zoo_data + 64
    ldr r2, [r0], #4
    ldr r3, [r0, #4]!
    ldr.w r4, [r0, r1, lsl #2]
    ldrsb r5, [r0, r1]
    ldrb.w r6, [r0], #-1
    ldrsh.w r7, [r0, #3]
    ldrh r7, [r0, #2]
    adds r0, #1
    ldrd r8, r9, [r0, #8]
    ldrd r10, r11, [r0], #8
    strd r8, r9, [r0, #-8]!
    stmia r0!, {r2, r3, r4}
    ldmdb r0!, {r2, r3}
    stmdb r0!, {r5, r6}
    ldmia.w r0, {r5, r6, r7}
    push {r2}
    pop {r2}
    str r3, [sp, #-8]!
    ldr r3, [sp], #8
    strb r2, [r0, r1]
    strh r2, [r0, #6]
    str.w r2, [r0, #12]
    umull r4, r5, r2, r3
    smlal r4, r5, r3, r2
    udiv r6, r4, r1
    sdiv r7, r5, r1
    mla r6, r2, r3, r6
    bfi r6, r2, #3, #7
    clz r7, r6
    movs r2, r2
    mov r8, r8
    cmp r1, #2
    ite gt
    addgt r2, #5
    suble r2, #7
    itttt eq
    ldreq r3, [r0]
    streq r3, [r0, #4]
    addeq r3, #1
    moveq r4, r3
    ittee ne
    movne r4, #17
    strne r4, [r0, #16]
    ldreq r4, [r0, #16]
    moveq r5, #9
    cbz r1, skipped
    and r5, r1, #3
    tbb [pc, r5]
table:
    .byte (case0 - table) / 2
    .byte (case1 - table) / 2
    .byte (case2 - table) / 2
    .byte (case3 - table) / 2
case0:
    nop
case1:
    adds r5, #1
    b joined
case2:
    adds r5, #2
    b joined
case3:
    adds r5, #3
joined:
    ldr r3, literal
    ldrex r4, [r0]
    strex r5, r3, [r0]
    mrs r6, primask
    bl leaf
    ldr r4, =leaf
    blx r4
skipped:
#if defined(__ARM_FP)
    vldr s0, [r0, #4]
    vstr s0, [r0, #8]
    vldmia r0!, {s0-s3}
    vstmdb r0!, {s2-s3}
    vldr d1, [r0]
    vpush {d0-d1}
    vpop {d0-d1}
    vmov r4, s0
    vmov r5, r6, d1
    vmov s1, r4
    vadd.f32 s1, s0, s1
    vcmp.f32 s1, s0
    vmrs apsr_nzcv, fpscr
#endif
#if defined(__ARM_FEATURE_DSP)
    smlad r4, r2, r3, r4
    sxtb16 r5, r2
    smlabb r6, r2, r3, r6
    uadd8 r7, r2, r3
    sel r7, r2, r3
#endif
    subs r1, #1
    bpl again
    pop {r4-r11, pc}
    .align 2
literal:
    .word 0x89abcdef
    .pool
    .size zoo, . - zoo

    .section .text.leaf,"ax",%progbits
    .type leaf,%function
    .thumb_func
leaf:
    eors r2, r3
    bx lr
    .size leaf, . - leaf
