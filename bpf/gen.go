// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the packet programs, compiled, and the Go mirror of their maps' layout. Everything in it but this
// file is generated from the C sources beside it.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem vethway -type hook -type drop_reason -type flow_kind -type flow_action -type address_kind -type gc_args -type gc_binding_args -type counter_key Vethway vethway.c -- -O2 -g -Wall -Werror -mcpu=v3 -fno-ident
