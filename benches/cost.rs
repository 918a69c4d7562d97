//! What `plan` and `seize` cost as machines and requests grow: `make bench`. Fails where the cost
//! of a plan grows faster than functions plus items, or a seizure takes more memory or system calls
//! than it may.

#[path = "../tests/cost/mod.rs"]
mod cost;
#[path = "../tests/release/mod.rs"]
#[allow(dead_code)]
mod release;

use std::{path::Path, process::ExitCode, sync::LazyLock, time::Instant};

use cost::{
    BRIDGES, Bench, Cost, LISTED, MOST_CALLS_PER_DEVICE, MOST_GROWTH, MOST_MEMORY, MOST_OF_A_LIST,
    MOST_PER_PAIR, Shape, calls_per_device, growth, instructions_per_pair,
};

const FUNCTIONS: [usize; 3] = [64, 512, 4096];
const ITEMS: [usize; 3] = [1, 16, 256];
const NAMED: [usize; 3] = [1, 8, 16];
const REFUSED: [usize; 3] = [16, 64, 128];
const NAMES: [usize; 3] = [64, 512, LISTED];

fn main() -> ExitCode {
    announce("building the program");
    // The bench itself may be built in any profile: this is the finished program.
    let content = release::program();
    let folder = tempfile::tempdir().expect("a folder");
    let program = release::install(&content, folder.path());
    println!("the program has {} bytes", content.len());
    let mut is_fine = true;
    for command in ["plan --json", "plan"] {
        announce(&format!(
            "{command}: some seconds to a minute for each line"
        ));
        is_fine &= functions_and_items(&program, command);
    }
    for shape in [Shape::Ports, Shape::Switch] {
        announce("plan --json, where bridges are refused");
        is_fine &= bridges(&program, shape);
    }
    announce("list");
    is_fine &= lists(&program);
    announce("seize");
    is_fine &= seizures(&program);
    announce("done");
    if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Says what is measured now, and how long it took to come there.
fn announce(what: &str) {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    println!("\n[{:6.1} s] {what}", BEGIN.elapsed().as_secs_f64());
}

/// Measures a command and prints the table. Whether its cost grows as functions plus items.
fn functions_and_items(program: &Path, command: &str) -> bool {
    let words: Vec<&str> = command.split(' ').collect();
    println!(
        "{command:<12} {:>9} {:>6} {:>13} {:>13} {:>9} {:>13}",
        "functions", "items", "instructions", "per function", "calls", "per function"
    );
    let costs = FUNCTIONS.map(|functions| {
        let bench = Bench::new(program, functions);
        ITEMS.map(|items| {
            bench.ask(items);
            // One line each.
            assert!(
                bench.output(&words).lines().count() >= functions - BRIDGES,
                "what is measured is not a plan for every device"
            );
            let cost = bench.cost(&words);
            println!(
                "{:<12} {functions:>9} {items:>6} {}",
                "",
                row(cost, functions)
            );
            cost
        })
    });
    // With one item there is one kind of items, and what other kinds compare is not looked up. From
    // 16 on there are all.
    let corners = [&costs[0], &costs[2]].map(|row| [row[1], row[2]]);
    let per_pair =
        instructions_per_pair((FUNCTIONS[0], FUNCTIONS[2]), (ITEMS[1], ITEMS[2]), corners);
    let growth = growth(FUNCTIONS, costs.map(|row| row[2].instructions));
    let slope = |from: Cost, to: Cost, steps: usize| {
        (to.instructions as f64 - from.instructions as f64) / steps as f64
    };
    println!(
        "a function more costs {:.0} instructions",
        slope(costs[0][1], costs[2][1], FUNCTIONS[2] - FUNCTIONS[0])
    );
    println!(
        "an item more costs {:.0} instructions",
        slope(costs[0][1], costs[0][2], ITEMS[2] - ITEMS[1])
    );
    println!("for each pair of the two come {per_pair:.3} (at most {MOST_PER_PAIR})");
    println!(
        "in the larger machines a function costs {growth:.2} times as much (at most {MOST_GROWTH})"
    );
    per_pair <= MOST_PER_PAIR && growth <= MOST_GROWTH
}

/// Measures refused bridges and prints the table. Whether one costs the same among many.
fn bridges(program: &Path, shape: Shape) -> bool {
    println!(
        "{:<12} {:>9} {:>6} {:>13} {:>13} {:>9} {:>13}",
        format!("{shape:?}"),
        "functions",
        "items",
        "instructions",
        "per function",
        "calls",
        "per function"
    );
    let costs = REFUSED.map(|bridges| {
        let bench = Bench::of_bridges(program, bridges, shape);
        assert_eq!(
            bench
                .output(&["plan", "--json"])
                .matches("\"refuse\"")
                .count(),
            bridges,
            "what is measured is not a refusal of every bridge"
        );
        let cost = bench.cost(&["plan", "--json"]);
        let functions = shape.functions(bridges);
        println!(
            "{:<12} {functions:>9} {bridges:>6} {}",
            "",
            row(cost, functions)
        );
        cost
    });
    let growth = growth(
        REFUSED.map(|bridges| shape.functions(bridges)),
        costs.map(|cost| cost.instructions),
    );
    println!(
        "in the larger machines a function costs {growth:.2} times as much (at most {MOST_GROWTH})"
    );
    growth <= MOST_GROWTH
}

/// Measures lists with names and prints the table. Whether they take as few instructions as they
/// may.
fn lists(program: &Path) -> bool {
    println!(
        "{:<12} {:>9} {:>6} {:>13} {:>13}",
        "list", "functions", "", "instructions", "per function"
    );
    let instructions = NAMES.map(|functions| {
        let instructions = Bench::new(program, functions).list();
        let each = instructions / functions as u64;
        println!(
            "{:<12} {functions:>9} {:>6} {instructions:>13} {each:>13}",
            "", ""
        );
        instructions
    });
    let (most, growth) = (instructions[2], growth(NAMES, instructions));
    println!(
        "{LISTED} functions with their names take {most} instructions (at most {MOST_OF_A_LIST})"
    );
    println!(
        "in the larger machines a function costs {growth:.2} times as much (at most {MOST_GROWTH})"
    );
    most <= MOST_OF_A_LIST && growth <= MOST_GROWTH
}

/// Measures seizures of named devices and prints the table. Whether each takes as little memory,
/// and a device more as few system calls, as it may.
fn seizures(program: &Path) -> bool {
    println!(
        "{:<12} {:>9} {:>7} {:>13} {:>9} {:>10}",
        "seize", "functions", "devices", "instructions", "calls", "memory KiB"
    );
    let mut is_fine = true;
    for (functions, most) in MOST_MEMORY {
        let seizures = NAMED.map(|devices| {
            let bench = Bench::new(program, functions);
            bench.make_seizable();
            bench.name(devices);
            let seizure = bench.seize();
            assert_eq!(
                (seizure.status, seizure.children),
                (0, devices),
                "what is measured is not the seizure of every device"
            );
            // As it was before. Under valgrind no device gets a driver, which changes little.
            bench.make_seizable();
            let instructions = bench.instructions(&["seize"]);
            println!(
                "{:<12} {functions:>9} {devices:>7} {instructions:>13} {:>9} {:>10}",
                "", seizure.calls, seizure.memory
            );
            seizure
        });
        let [_, eight, sixteen] = seizures;
        let per_device = calls_per_device((NAMED[1], NAMED[2]), (eight.calls, sixteen.calls));
        println!("with {functions} functions, a device more costs {per_device:.1} calls");
        println!("(at most {MOST_CALLS_PER_DEVICE})");
        println!("and {} KiB are in use (at most {most})", sixteen.memory);
        is_fine &= per_device <= MOST_CALLS_PER_DEVICE && sixteen.memory <= most;
    }
    is_fine
}

fn row(cost: Cost, functions: usize) -> String {
    let each = functions as u64;
    format!(
        "{:>13} {:>13} {:>9} {:>13.2}",
        cost.instructions,
        cost.instructions / each,
        cost.calls,
        cost.calls as f64 / functions as f64
    )
}
