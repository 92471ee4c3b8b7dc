//! The program: parse the command line, call one function, map the result to an exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc reads its settings here. Freed memory goes back to the system soon, also while the process is idle.
#[expect(unsafe_code, reason = "the symbol's name is jemalloc's")]
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8; 42] = b"background_thread:true,dirty_decay_ms:500\0";

fn main() -> ExitCode {
    tagboat::cli::main()
}
