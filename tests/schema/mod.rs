//! Reads the program's JSON, and holds it to `schema.json`.

use std::{collections::BTreeMap, sync::LazyLock};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// What JSON tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code, reason = "no test reads all of them")]
pub enum Kind {
    /// What `list --json` prints.
    List,
    /// What `plan --json` prints.
    Plan,
    /// What `status --json` prints.
    Status,
    /// The file `/run/pciseize/report`.
    Report,
    /// What `show --json` prints.
    Show,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::List,
        Kind::Plan,
        Kind::Status,
        Kind::Report,
        Kind::Show,
    ];

    /// Where the schema has it.
    fn place(self) -> &'static str {
        match self {
            Kind::List => "#/$defs/list",
            Kind::Plan => "#/$defs/plan",
            Kind::Status => "#/$defs/status",
            Kind::Report => "#/$defs/report",
            Kind::Show => "#/$defs/pages",
        }
    }
}

/// Reads JSON that is as the schema says.
pub fn read(kind: Kind, text: &[u8]) -> Result<Value, String> {
    static SCHEMA: LazyLock<(Schemas, BTreeMap<Kind, SchemaIndex>)> = LazyLock::new(compile);
    let value = serde_json::from_slice(text)
        .map_err(|e| format!("no JSON: {e}: {}", String::from_utf8_lossy(text)))?;
    let (schemas, places) = &*SCHEMA;
    match schemas.validate(&value, places[&kind]) {
        Ok(()) => Ok(value),
        Err(fault) => Err(format!("not as schema.json says: {fault}\n{value:#}")),
    }
}

/// The schema, with the place of each kind. It allows keys of later versions, which a test does not
/// know of: here a key that the schema does not have is a fault.
fn compile() -> (Schemas, BTreeMap<Kind, SchemaIndex>) {
    const NAME: &str = "http://localhost/schema.json";
    let schema = include_str!("../../schema.json");
    let mut schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    let definitions = schema["$defs"].as_object_mut().expect("definitions");
    // A definition without a type is only a part of others.
    for definition in definitions.values_mut() {
        if definition["type"] == "object" {
            definition["unevaluatedProperties"] = false.into();
        }
    }
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.add_resource(NAME, schema).expect("a name");
    let places = Kind::ALL.map(|kind| {
        let place = compiler.compile(&format!("{NAME}{}", kind.place()), &mut schemas);
        (kind, place.unwrap_or_else(|e| panic!("schema.json: {e:#}")))
    });
    (schemas, places.into())
}
