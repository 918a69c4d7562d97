//! The work of the finished program grows as functions plus items. These tests use machines of a
//! few sizes; `make bench` measures more.

mod cost;
#[allow(dead_code)]
mod release;
mod schema;

use std::path::{Path, PathBuf};

use cost::{
    Bench, LISTED, MOST_CALLS_PER_DEVICE, MOST_GROWTH, MOST_MEMORY, MOST_OF_A_LIST, MOST_PER_PAIR,
    Seizure, Shape, calls_per_device, growth, instructions_per_pair,
};
use schema::Kind;
use tempfile::TempDir;

fn program() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = release::install(&release::program(), folder.path());
    (folder, program)
}

#[test]
fn no_function_is_compared_with_every_item() {
    const FUNCTIONS: (usize, usize) = (64, 256);
    const ITEMS: (usize, usize) = (16, 256);
    let (_folder, program) = program();
    let costs = [FUNCTIONS.0, FUNCTIONS.1].map(|functions| {
        let bench = Bench::new(&program, functions);
        [ITEMS.0, ITEMS.1].map(|items| {
            bench.ask(items);
            bench.cost(&["plan", "--json"])
        })
    });
    let per_pair = instructions_per_pair(FUNCTIONS, ITEMS, costs);
    assert!(
        per_pair <= MOST_PER_PAIR,
        "{per_pair} instructions for each pair of a function and an item: {costs:?}"
    );
    // A longer file and a further problem cost the same number of calls on any machine.
    let [few, many] =
        costs.map(|[few_items, many_items]| many_items.calls as i64 - few_items.calls as i64);
    // The output is written in pieces of some twenty functions, so the number of pieces varies by
    // one.
    assert!(
        few.abs_diff(many) <= 1,
        "system calls for each pair of a function and an item: {costs:?}"
    );
}

#[test]
fn no_function_costs_more_among_many() {
    const FUNCTIONS: [usize; 3] = [64, 128, 512];
    let (_folder, program) = program();
    let instructions = FUNCTIONS.map(|functions| {
        let bench = Bench::new(&program, functions);
        bench.ask(16);
        bench.instructions(&["plan", "--json"])
    });
    assert!(
        growth(FUNCTIONS, instructions) <= MOST_GROWTH,
        "{instructions:?}"
    );
}

/// JSON names each member of a group with each: that is not measured.
#[test]
fn no_function_costs_more_in_a_large_group() {
    const FUNCTIONS: [usize; 3] = [64, 128, 512];
    let (_folder, program) = program();
    let instructions = FUNCTIONS.map(|functions| {
        let bench = Bench::new(&program, functions);
        bench.remove_acs();
        bench.ask(16);
        let list = bench.output(&["list"]);
        let in_group = list.matches("group of").count();
        assert!(in_group > functions / 2, "{in_group} of {functions}");
        bench.instructions(&["plan"])
    });
    assert!(
        growth(FUNCTIONS, instructions) <= MOST_GROWTH,
        "{instructions:?}"
    );
}

#[test]
fn no_line_costs_more_to_add_or_remove_among_many() {
    const FUNCTIONS: [usize; 3] = [64, 128, 512];
    let (_folder, program) = program();
    let machines = FUNCTIONS.map(|functions| {
        let bench = Bench::new(&program, functions);
        bench.name(0);
        bench
    });
    for command in ["add", "remove"] {
        let instructions = machines
            .each_ref()
            .map(|bench| bench.instructions(&[command, "class:network"]));
        assert!(
            growth(FUNCTIONS, instructions) <= MOST_GROWTH,
            "{command}: {instructions:?}"
        );
    }
}

#[test]
fn a_list_with_names_takes_few_instructions() {
    const FUNCTIONS: [usize; 3] = [64, 512, LISTED];
    let (_folder, program) = program();
    let instructions = FUNCTIONS.map(|functions| Bench::new(&program, functions).list());
    assert!(instructions[2] <= MOST_OF_A_LIST, "{instructions:?}");
    assert!(
        growth(FUNCTIONS, instructions) <= MOST_GROWTH,
        "{instructions:?}"
    );
}

/// A page is about one device, but what goes with it is found among all.
#[test]
fn a_page_takes_little_more_than_a_plan() {
    const MOST: f64 = 1.5;
    let (_folder, program) = program();
    let bench = Bench::new(&program, LISTED);
    bench.ask(16);
    let plan = bench.instructions(&["plan"]);
    for words in [
        &["show", "0000:01:00.0"][..],
        &["show", "0000:01:00.0", "--json"],
    ] {
        let page = bench.instructions(words);
        assert!(
            page as f64 <= plan as f64 * MOST,
            "{words:?}: {page} instructions; a plan: {plan}"
        );
    }
}

#[test]
fn no_refused_bridge_costs_more_among_many() {
    const REFUSED: [usize; 3] = [8, 16, 32];
    let (_folder, program) = program();
    for shape in [Shape::Ports, Shape::Switch] {
        let instructions = REFUSED.map(|bridges| {
            let bench = Bench::of_bridges(&program, bridges, shape);
            let plan = bench.output(&["plan", "--json"]);
            let is_held = schema::read(Kind::Plan, plan.as_bytes());
            assert_eq!(is_held.err(), None);
            assert_eq!(plan.matches("\"refuse\"").count(), bridges);
            bench.instructions(&["plan", "--json"])
        });
        assert!(
            growth(
                REFUSED.map(|bridges| shape.functions(bridges)),
                instructions
            ) <= MOST_GROWTH,
            "{shape:?}: {instructions:?}"
        );
    }
}

/// A seizure of `devices` devices, each named by its address, on a machine with so many functions.
fn seizure(program: &Path, functions: usize, devices: usize) -> Seizure {
    let bench = Bench::new(program, functions);
    bench.make_seizable();
    bench.name(devices);
    let seizure = bench.seize();
    assert_eq!(
        (seizure.status, seizure.children),
        (0, devices),
        "all is as asked, with a process for each slot"
    );
    seizure
}

#[test]
fn a_device_more_takes_few_system_calls_to_seize() {
    const DEVICES: (usize, usize) = (8, 16);
    let (_folder, program) = program();
    let calls = [DEVICES.0, DEVICES.1].map(|devices| seizure(&program, 64, devices).calls);
    let per_device = calls_per_device(DEVICES, calls.into());
    assert!(
        per_device <= MOST_CALLS_PER_DEVICE,
        "{per_device} system calls for a device more: {calls:?}"
    );
}

#[test]
fn a_seizure_needs_little_memory() {
    let (_folder, program) = program();
    for (functions, most) in MOST_MEMORY {
        let memory = seizure(&program, functions, 16).memory;
        assert!(
            memory <= most,
            "{memory} KiB with {functions} functions; at most {most}"
        );
    }
}
