//! The reference page of all settings, written from the catalog, so that it cannot say anything else than the code.

use std::fmt::Write;

use crate::config::entry::{Effect, Entry, Update};
use crate::config::{brokers, groups, topics};

/// `docs/configuration.md`, whole.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Topic settings\n\nAll of them can be set when a topic is created and changed at any time.\n\n");
    table(&mut page, topics::TOPICS);
    page.push_str("\n## Broker settings\n\n");
    table(&mut page, brokers::BROKERS);
    page.push_str("\n## Group settings\n\nWhat a group says for itself (`kafka-configs --entity-type groups`), within the bounds of the broker's `group.*`. Changed at any time.\n\n");
    table(&mut page, groups::GROUPS);
    page.push_str("\n## Settings that are no more\n\nThese stand in many files; they are taken with a warning and do nothing.\n\n");
    page.push_str("| setting | instead |\n|---|---|\n");
    for (name, instead) in brokers::OBSOLETE {
        line(&mut page, format_args!("| `{name}` | {instead} |"));
    }
    page
}

const HEAD: &str = "# Configuration

This page is written from the catalog in `engine/broker/src/config`; `cargo test -p highwater-broker reference` says when it is
out of date, and with `UPDATE_DOCS=1` brings it up to date.

Settings have Kafka's names wherever Kafka has the setting, and our own begin with `highwater.`. They come from a
`server.properties` file (the one Kafka ships can be used as it is) and from `--set key=value`, which is stronger. Settings of
topics and those marked *dynamic* can be changed while the broker runs, with any Kafka admin tool. An unknown name is an error
that says which known name is nearest. Settings of security (`ssl.*`, `sasl.*`, `authorizer.*` and their like) stop the start
until security is built: to ignore one silently would leave open what its author believes closed.

A setting that does nothing says why: it *waits* for a feature that is not built yet, or it is *idle* because there is nothing
here for it to act on.
";

fn table(page: &mut String, entries: &[Entry]) {
    page.push_str("| setting | type | default | meaning |\n|---|---|---|---|\n");
    for entry in entries {
        let default = match entry.default {
            None => "none".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        let mut meaning = entry.doc.to_owned();
        match entry.effect {
            Effect::Obeyed => {}
            Effect::Waits(feature) => {
                meaning.push_str(&format!(" *Waits for {}.*", feature.name()));
            }
            Effect::Idle(reason) => meaning.push_str(&format!(" *Idle: {reason}.*")),
            Effect::Refused(reason) => {
                meaning.push_str(&format!(" *Only the default is accepted: {reason}.*"));
            }
        }
        let from: Vec<String> = entry
            .synonyms
            .iter()
            .filter(|synonym| synonym.name != entry.name)
            .map(|synonym| format!("`{}`", synonym.name))
            .collect();
        if !from.is_empty() {
            meaning.push_str(&format!(" Default from {}.", from.join(", ")));
        }
        if brokers::find(entry.name).is_some_and(|broker| std::ptr::eq(broker, entry)) {
            match entry.update {
                Update::ReadOnly => {}
                Update::Dynamic => meaning.push_str(" *Dynamic.*"),
            }
        }
        line(
            page,
            format_args!(
                "| `{}` | {} | {default} | {meaning} |",
                entry.name,
                entry.kind.describe()
            ),
        );
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == page(),
            "docs/configuration.md is out of date: run UPDATE_DOCS=1 cargo test -p highwater-broker reference"
        );
    }
}
