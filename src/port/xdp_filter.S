// SPDX-License-Identifier: Apache-2.0
// The compiled xdp_filter.bpf.c, carried in the library, so that a program needs no file beside it.
// TIDELINE_XDP_FILTER is its path.
	.section .rodata
	.balign 8
	.global tideline_xdp_filter_begin
	.hidden tideline_xdp_filter_begin
tideline_xdp_filter_begin:
	.incbin TIDELINE_XDP_FILTER
	.global tideline_xdp_filter_end
	.hidden tideline_xdp_filter_end
tideline_xdp_filter_end:
	.section .note.GNU-stack,"",%progbits
