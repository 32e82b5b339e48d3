// SPDX-License-Identifier: Apache-2.0
// The copy routines of guarded_copy.h: CopyResult f(void* dst, const void* src, size_t size).
// System V ABI; the result is rax = bytes copied, rdx = address of the fault (0: none).
//
// Order (x86-TSO): bytes are stored once each, in ascending order, and no store that holds the last
// byte crosses a cache line: so the last byte becomes visible last. A crossing store may become
// visible upper half first, and `rep movsb` stores in any order (Intel SDM 3A, 10.2.4), so neither
// writes the end.
//
// Faults: every instruction that touches program memory lies between two labels of the section
// tideline_fixups; fault_handler.cc moves the thread to the landing. Wide code lands on the byte
// loop, which finds the exact byte, by faulting again.
//
// Registers: rdi, rsi, rcx = where to, where from, bytes left; consistent at every landing.
//            r8 = size; r9 = what the end demands: nonzero if the last store must be a byte.

        .macro fixup begin, end, landing
        .pushsection tideline_fixups, "a"
        .long   \begin - ., \end - ., \landing - .
        .popsection
        .endm

        .macro begin_routine name
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        mov     %rdx, %rcx
        mov     %rdx, %r8
        .endm

        .macro end_routine name
        .cfi_endproc
        .size   \name, . - \name
        .endm

// 0 to 16 bytes left. The last store is as wide as the lowest set bit of rcx: it crosses a line if
// the last byte lies less than that far into its line; then byte by byte.
        .macro tail
10:     lea     -1(%rdi, %rcx), %rax
        and     $63, %eax
        mov     %ecx, %edx
        neg     %edx
        and     %ecx, %edx              // width of the last store
        dec     %edx
        cmp     %edx, %eax
        jb      30f                     // also for rcx = 0: edx is then the greatest number
11:     test    $16, %cl
        jz      12f
        movups  (%rsi), %xmm0
        movups  %xmm0, (%rdi)
        xor     %ecx, %ecx
        jmp     20f
12:     test    $8, %cl
        jz      13f
        mov     (%rsi), %rax
        mov     %rax, (%rdi)
        add     $8, %rsi
        add     $8, %rdi
        sub     $8, %rcx
        jz      20f
13:     test    $4, %cl
        jz      14f
        mov     (%rsi), %eax
        mov     %eax, (%rdi)
        add     $4, %rsi
        add     $4, %rdi
        sub     $4, %rcx
14:     test    $2, %cl
        jz      15f
        movzwl  (%rsi), %eax
        mov     %ax, (%rdi)
        add     $2, %rsi
        add     $2, %rdi
        sub     $2, %rcx
15:     test    %rcx, %rcx
        jz      20f
        movb    (%rsi), %al
        movb    %al, (%rdi)
        dec     %rcx
20:     mov     %r8, %rax
        xor     %edx, %edx
        ret
30:     test    %rcx, %rcx
        jz      20b
31:     movb    (%rsi), %al
        movb    %al, (%rdi)
32:     inc     %rsi
        inc     %rdi
        dec     %rcx
        jnz     31b
        jmp     20b
33:     mov     %r8, %rax               // rdx: set by the signal handler
        sub     %rcx, %rax
        ret
        fixup   11b, 20b, 30b
        fixup   31b, 32b, 33b
        .endm

// 16-byte stores while more than 16 bytes are left, four at a time.
        .macro sse_body
40:     cmp     $80, %rcx
        jb      42f
41:     movups  (%rsi), %xmm0
        movups  16(%rsi), %xmm1
        movups  32(%rsi), %xmm2
        movups  48(%rsi), %xmm3
        movups  %xmm0, (%rdi)
        movups  %xmm1, 16(%rdi)
        movups  %xmm2, 32(%rdi)
        movups  %xmm3, 48(%rdi)
        add     $64, %rsi
        add     $64, %rdi
        sub     $64, %rcx
        cmp     $80, %rcx
        jae     41b
42:     cmp     $16, %rcx
        jbe     44f
43:     movups  (%rsi), %xmm0
        movups  %xmm0, (%rdi)
        add     $16, %rsi
        add     $16, %rdi
        sub     $16, %rcx
        jmp     42b
44:
        fixup   41b, 44b, 30f
        .endm

        .text

begin_routine tideline_copy_sse
        cmp     $16, %rdx
        jbe     10f
        sse_body
        tail
end_routine tideline_copy_sse

// 32-byte stores while at least 144 bytes are left; needs AVX.
begin_routine tideline_copy_avx
        cmp     $16, %rdx
        jbe     10f
        cmp     $144, %rdx
        jb      40f
50:     vmovups (%rsi), %ymm0
        vmovups 32(%rsi), %ymm1
        vmovups 64(%rsi), %ymm2
        vmovups 96(%rsi), %ymm3
        vmovups %ymm0, (%rdi)
        vmovups %ymm1, 32(%rdi)
        vmovups %ymm2, 64(%rdi)
        vmovups %ymm3, 96(%rdi)
        add     $128, %rsi
        add     $128, %rdi
        add     $-128, %rcx
        cmp     $144, %rcx
        jae     50b
51:     vzeroupper
        sse_body
        tail
52:     vzeroupper
        jmp     30b
        fixup   50b, 51b, 52b
end_routine tideline_copy_avx

// The string instruction for all but the last 16 bytes.
begin_routine tideline_copy_string
        cmp     $16, %rdx
        jbe     10f
        sub     $16, %rcx
60:     rep movsb
61:     mov     $16, %ecx
        tail
62:     add     $16, %rcx
        jmp     30b
        fixup   60b, 61b, 62b
end_routine tideline_copy_string

// AtomicResult f(void* word, ...): rax = the former value, rdx = 1; or rdx = 0 after a fault.
begin_routine tideline_compare_swap
        mov     %rsi, %rax
70:     lock cmpxchg %rdx, (%rdi)
71:     mov     $1, %edx
        ret
72:     xor     %edx, %edx
        ret
        fixup   70b, 71b, 72b
end_routine tideline_compare_swap

begin_routine tideline_fetch_add
        mov     %rsi, %rax
80:     lock xadd %rax, (%rdi)
81:     mov     $1, %edx
        ret
82:     xor     %edx, %edx
        ret
        fixup   80b, 81b, 82b
end_routine tideline_fetch_add

        .section .note.GNU-stack, "", @progbits
