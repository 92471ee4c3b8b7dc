//! Coverage-guided fuzzing with libFuzzer: `fuzz TARGET [libFuzzer's flags and folders]`. Without arguments it lists the targets.
//! Built by the stable compiler through `fuzz/rustc`; `make test` runs it for seconds, `make fuzz` for hours.

#![expect(clippy::disallowed_methods, reason = "libFuzzer's arguments")]

mod targets;

use std::ffi::{CString, c_char, c_int};
use std::process::{abort, exit};
use std::sync::OnceLock;

// Brings libFuzzer in.
use libfuzzer_sys as _;

use targets::{ALL, Target};

/// libFuzzer passes what follows on to the processes that it starts, and doesn't look at it.
const NOT_ITS_OWN: &str = "-ignore_remaining_args=1";

static TARGET: OnceLock<Target> = OnceLock::new();

unsafe extern "C" {
    /// libFuzzer's entrance for programs that have a `main` of their own (LLVM's FuzzerDriver.h).
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        look: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

/// The bindings' own main asks for it; ours doesn't, but the linker wants it.
#[unsafe(no_mangle)]
fn rust_fuzzer_test_input(_: &[u8]) -> i32 {
    0
}

extern "C" fn look(data: *const u8, size: usize) -> c_int {
    // libFuzzer's pointer is null for the empty input.
    let input = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
    if let Some(target) = TARGET.get() {
        target(input);
    }
    0
}

fn main() {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let mut arguments: Vec<String> = arguments.collect();
    let name = match arguments.iter().position(|argument| argument == NOT_ITS_OWN) {
        Some(at) => arguments.split_off(at).pop(),
        None if arguments.is_empty() => None,
        None => Some(arguments.remove(0)),
    };
    let Some(name) = name else {
        ALL.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, target)) = ALL.iter().find(|(known, _)| *known == name) else {
        eprintln!("there is no target {name:?}");
        exit(2);
    };
    TARGET.get_or_init(|| *target);
    // Before anything unwinds, so that libFuzzer sees where it happened.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        abort();
    }));
    arguments.extend([NOT_ITS_OWN.to_owned(), name]);
    let arguments: Vec<CString> =
        std::iter::once(program).chain(arguments).filter_map(|argument| CString::new(argument).ok()).collect();
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    let mut count = c_int::try_from(pointers.len()).expect("a command line is short");
    pointers.push(std::ptr::null_mut());
    let mut all = pointers.as_mut_ptr();
    exit(unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut all, look) });
}
