//! Counts the disk operations of a running QEMU, over its control socket (QMP).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest wait for an answer. A missing answer is asked for again at the next check.
const PATIENCE: Duration = Duration::from_secs(1);

/// The control socket, and the last answer.
pub struct Disks {
    /// A path of a socket must be short, so the socket is not in the target directory.
    folder: TempDir,
    connection: Option<BufReader<UnixStream>>,
    operations: u64,
}

impl Disks {
    pub fn new() -> Result<Self> {
        Ok(Self {
            folder: TempDir::new()?,
            connection: None,
            operations: 0,
        })
    }

    /// The value of QEMU's option `-qmp`.
    pub fn option(&self) -> String {
        format!("unix:{},server=on,wait=off", self.socket().display())
    }

    /// The operations that all disks have finished so far. If QEMU does not answer, the last known
    /// number.
    pub fn operations(&mut self) -> u64 {
        match self.ask() {
            Ok(operations) => self.operations = operations,
            Err(_) => self.connection = None,
        }
        self.operations
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp")
    }

    fn ask(&mut self) -> Result<u64> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let stream = UnixStream::connect(self.socket())?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let connection = self.connection.insert(BufReader::new(stream));
                execute(connection, "qmp_capabilities")?;
                connection
            }
        };
        let disks = execute(connection, "query-blockstats")?;
        let disks = disks.as_array().context("no list of disks")?;
        let kinds = ["rd_operations", "wr_operations", "flush_operations"];
        let counts = disks
            .iter()
            .flat_map(|disk| kinds.map(|kind| disk["stats"][kind].as_u64()));
        Ok(counts.flatten().sum())
    }
}

/// Executes a QEMU command and returns its answer, skipping the greeting and events.
fn execute(connection: &mut BufReader<UnixStream>, command: &str) -> Result<Value> {
    writeln!(connection.get_mut(), "{}", json!({ "execute": command }))?;
    loop {
        let mut line = String::new();
        ensure!(
            connection.read_line(&mut line)? > 0,
            "QEMU has closed its control socket"
        );
        let mut answer: Value = serde_json::from_str(&line)?;
        ensure!(answer["error"].is_null(), "QEMU refuses {command}: {line}");
        if let Some(answer) = answer.get_mut("return") {
            return Ok(answer.take());
        }
    }
}
