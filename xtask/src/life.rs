//! The life of an attempt for the documentation: its places, its transitions, and a drawing of them.

use std::collections::BTreeSet;
use std::fmt::Write;

use cuo_core::agent::{Place, Rest, TRANSITIONS};

use crate::codegen::table;

/// Every place and what it means.
pub fn places() -> String {
    let rests = Rest::ALL.iter().map(|rest| Place::Rest(*rest));
    let all = rests.chain(Place::STAGES.iter().copied());
    let row = |place: Place| {
        let grant = match place {
            Place::Rest(_) => "none, or not accepted",
            _ => "accepted",
        };
        vec![
            format!("`{}`", place.name()),
            grant.to_owned(),
            place.means().to_owned(),
        ]
    };
    table(&["Place", "Grant", "Meaning"], all.map(row))
}

/// The drawing, and what it has no room for.
pub fn transitions() -> String {
    let row = |way: &cuo_core::agent::Transition| {
        let to = way
            .to
            .map_or("rest".to_owned(), |to| format!("`{}`", to.name()));
        vec![format!("`{}`", way.from.name()), to, way.when.to_owned()]
    };
    let rows = table(&["From", "To", "When"], TRANSITIONS.iter().map(row));
    format!("{}\n{rows}", drawing())
}

/// Lines without their words: those are in the table. A place at rest is drawn where an attempt begins in it.
fn drawing() -> String {
    let mut text = "```mermaid\nstateDiagram-v2\n    state Rest {\n".to_owned();
    let begins: BTreeSet<_> = TRANSITIONS.iter().map(|way| way.from).collect();
    for rest in begins
        .into_iter()
        .filter(|from| matches!(from, Place::Rest(_)))
    {
        // Writing to a String can't fail.
        let _ = writeln!(text, "        {}", rest.name());
    }
    text += "    }\n    [*] --> Rest\n";
    for way in TRANSITIONS {
        let to = way.to.map_or("Rest", Place::name);
        let _ = writeln!(text, "    {} --> {to}", way.from.name());
    }
    text + "```\n"
}
