//! Says what the laboratory is doing and how long each step took.

use std::sync::LazyLock;
use std::time::Instant;

use anyhow::Result;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Prints one line with the seconds since the first one.
pub fn say(text: &str) {
    println!("[{:6.1} s] {text}", START.elapsed().as_secs_f64());
}

/// Does one step: prints its name when it begins and its duration when it ends.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("{name} …"));
    let begin = Instant::now();
    let outcome = work()?;
    say(&format!(
        "  {name}: took {:.1} s",
        begin.elapsed().as_secs_f64()
    ));
    Ok(outcome)
}
