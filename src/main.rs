//! The program: the words of the command line in, an exit status out.
//!
//! The library decides everything. The room `machine` connects its traits to the kernel.

// The C library calls `main` in `machine/start.rs`. A Rust `main` would bring in std's runtime.
#![no_main]

mod machine;

use machine::{Arguments, Machine, embedded, take_memory};
use pciseize::{
    cli::{Exit, Invocation, first},
    report::Stage,
};

/// Runs one command on this machine.
fn run(arguments: &Arguments) -> Exit {
    let mut machine = Machine::new(*arguments);
    if machine.is_process_1() && machine.is_root_in_memory() {
        machine.log_to_kernel();
        // Whatever the words are, they are for the program that runs next.
        if let Some(memory) = take_memory() {
            first::run(&mut machine, memory, embedded());
        }
        return Exit::NotAsAsked;
    }
    machine.open_streams();
    machine.ignore_broken_pipes();
    let mut invocation = Invocation::new();
    if let Err(usage) = invocation.read(arguments.words()) {
        usage.tell(&mut machine);
        return Exit::Usage;
    }
    let stage = match invocation.root {
        None => machine.find_stage(),
        Some(root) => match machine.enter_root(root) {
            Ok(()) => Stage::Host,
            Err(_) => return Exit::Usage,
        },
    };
    if stage == Stage::Initramfs {
        machine.log_to_kernel();
    }
    // `main` is called once, so the memory is there.
    let Some(memory) = take_memory() else {
        return Exit::NotAsAsked;
    };
    invocation.run(&mut machine, memory, stage, embedded())
}
