//! The installed schema, `schema.json`. `tests/schema/` holds the program's JSON to it; here it is
//! shown that it can fail, and that it knows the program's words.

use std::{collections::BTreeSet, fs};

use boon::{Compiler, Schemas};
use pciseize::device::Outcome;
use serde_json::{Value, json};

use crate::{
    FILE, PACKAGE, column, machine, pages,
    schema::{self, Kind},
    shown,
};

fn installed() -> Value {
    let text = fs::read(format!("{PACKAGE}/schema.json")).expect("the schema");
    serde_json::from_slice(&text).expect("JSON")
}

/// What the program tells of a machine with devices of several outcomes and a mistake.
fn told() -> [(Kind, Value); 4] {
    let machine = machine();
    machine.write(FILE, "class:network\n!8086:15bb\n82.0.0\n1234:5678\n");
    let read = |kind, command: &str| {
        let told = machine.run(&[command, "--json"]).stdout;
        (kind, schema::read(kind, &told).expect(command))
    };
    let (plan, list) = (read(Kind::Plan, "plan"), read(Kind::List, "list"));
    machine.run(&["seize"]);
    let report = fs::read(machine.path("/run/pciseize/report")).expect("a report");
    let report = schema::read(Kind::Report, &report).expect("the report");
    let status = read(Kind::Status, "status");
    [plan, list, status, (Kind::Report, report)]
}

fn is_sound(kind: Kind, value: &Value) -> bool {
    schema::read(kind, value.to_string().as_bytes()).is_ok()
}

/// All places in a value, the value itself among them.
fn places(value: &Value, place: &str, found: &mut Vec<String>) {
    found.push(place.to_owned());
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, value)| places(value, &format!("{place}/{key}"), found)),
        Value::Array(items) => (0..)
            .zip(items)
            .for_each(|(at, item): (usize, _)| places(item, &format!("{place}/{at}"), found)),
        _ => {}
    }
}

/// A value with another one at a place.
fn with(value: &Value, place: &str, other: Value) -> Value {
    let mut value = value.clone();
    *value.pointer_mut(place).expect("the place") = other;
    value
}

/// No key can be left out, added, or have a value of another type.
#[test]
fn nothing_else_is_as_the_schema_says() {
    for (kind, value) in told() {
        let mut all = Vec::new();
        places(&value, "", &mut all);
        assert!(all.len() > 50, "{value:#}");
        for place in all {
            let own = value.pointer(&place).expect("the place");
            for other in [json!(-1), json!({ "other": 1 }), json!(["\x1b"])] {
                let changed = with(&value, &place, other);
                assert!(!is_sound(kind, &changed), "{kind:?} {place}: {changed:#}");
            }
            if let Value::String(text) = own {
                let changed = with(&value, &place, format!("{text}\n").into());
                assert!(!is_sound(kind, &changed), "{kind:?} {place}: {changed:#}");
            }
            let Value::Object(members) = own else {
                continue;
            };
            for key in members.keys() {
                let mut less = members.clone();
                less.remove(key);
                let less = with(&value, &place, less.into());
                assert!(!is_sound(kind, &less), "{kind:?} {place}: no {key}");
            }
            let mut more = members.clone();
            more.insert("another".to_owned(), json!(1));
            let more = with(&value, &place, more.into());
            assert!(!is_sound(kind, &more), "{kind:?} {place}: another key");
        }
    }
}

/// As it is installed, the schema takes each kind, also with keys of a later version. A reader of
/// one kind alone takes its definition.
#[test]
fn the_installed_schema_takes_later_versions() {
    const NAME: &str = "http://localhost/schema.json";
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.add_resource(NAME, installed()).expect("a name");
    let any = compiler.compile(NAME, &mut schemas).expect("a schema");
    let is_taken = |value: &Value| schemas.validate(value, any).is_ok();
    for (kind, value) in told() {
        assert!(is_taken(&value), "{kind:?}");
        let device = match kind {
            Kind::List => "/0",
            _ => "/devices/0",
        };
        let mut later = value.clone();
        later.pointer_mut(device).expect("a device")["later"] = json!([1]);
        assert!(is_taken(&later), "{kind:?}: {later:#}");
        let mut wrong = value;
        wrong.pointer_mut(device).expect("a device")["vendor"] = json!(0x8086);
        assert!(!is_taken(&wrong), "{kind:?}: {wrong:#}");
    }
    assert!(!is_taken(&json!({})));
}

#[test]
fn its_words_are_those_that_there_are() {
    let schema = installed();
    let words = |place: &str| -> BTreeSet<String> {
        let words = schema.pointer(place).and_then(Value::as_array);
        let words = words.expect(place).iter().map(|word| word.as_str());
        words.map(|word| word.expect("a text").to_owned()).collect()
    };
    let outcomes = Outcome::ALL.iter().map(shown);
    assert_eq!(words("/$defs/outcome/enum"), outcomes.collect());
    let pages = pages();
    let actions = column(&pages, "Action").into_iter();
    let actions = actions.flat_map(|(_, _, actions)| actions);
    let place = "/$defs/planned_device/properties/action/enum";
    assert_eq!(words(place), actions.collect());
}
