/* The same for RV32IMC. */
    .section .text.zoo,"ax",%progbits
    .global zoo
    .type zoo,%function
zoo:
    addi sp, sp, -32
    sw ra, 28(sp)
    sw s0, 24(sp)
    sw s1, 20(sp)
    la s0, zoo_data
    li s1, 3
again:
    lw a0, 4(s0)
    lb a1, 5(s0)
    lbu a2, 6(s0)
    lh a3, -2(s0)
    lhu a4, 2(s0)
    sw a0, 8(s0)
    sb a1, 12(s0)
    sh a2, 14(s0)
    lw t3, 64(s0)
    sw t3, 124(s0)
    lw a5, 16(sp)
    sw a5, 12(sp)
    mul a0, a0, a1
    mulh a1, a0, a2
    mulhsu a2, a0, a3
    div a3, a0, s1
    remu a4, a0, s1
    lui a5, 0x12345
    auipc a5, 0
    slt a5, a0, a1
    slli a0, a0, 3
    srai a1, a1, 1
    andi a1, a1, 15
    xor a2, a2, a3
    mv a3, a3
    csrr a4, mscratch
    beq a0, a1, over
    addi a0, a0, 1
over:
    bnez s1, further
    addi a0, a0, 2
further:
    call leaf
    la t0, leaf
    jalr t0
    addi s1, s1, -1
    bgez s1, again
    lw ra, 28(sp)
    lw s0, 24(sp)
    lw s1, 20(sp)
    addi sp, sp, 32
    ret
    .size zoo, . - zoo

    .section .text.leaf,"ax",%progbits
    .type leaf,%function
leaf:
    xor a2, a2, a3
    ret
    .size leaf, . - leaf
