//! The commented file with every option at its default, from the table: what the package installs, and what
//! `switchboard help options` shows, because `uci` drops all comments from a file that it changes. Without what the program was
//! built without.

use super::table::{OPTIONS, Row, SECTIONS};
use super::{Config, Server};
use crate::wire::uci;

const WIDTH: usize = 110;

/// The sample, with these servers of the book.
pub fn sample(servers: &[&str]) -> String {
    let servers = servers.iter().map(|url| Server { url: (*url).into() }).collect();
    let config = Config { servers, ..Config::default() };
    let mut out = String::from(
        "# Every option, with what holds without it. The daemon takes changes over by 'switchboard reload' or SIGHUP.\n\
         # 'switchboard check' says what is wrong; 'switchboard help options' shows these remarks when uci dropped them.\n",
    );
    for section in SECTIONS.iter().filter(|section| section.missing().is_none()) {
        let rows = || OPTIONS.iter().filter(|row| row.section == section.kind);
        out.push('\n');
        comment(&mut out, "", section.doc);
        match section.name {
            Some(name) => {
                out.push_str(&format!("config {} '{name}'\n", section.kind));
                for row in rows() {
                    option(&mut out, row, &row.field.text(&config));
                }
            }
            None => {
                let values: Vec<(&Row, Vec<String>)> = rows().map(|row| (row, row.field.text(&config))).collect();
                for row in rows() {
                    comment(&mut out, "", &format!("{}: {} [{}]", row.name, row.doc, row.field.range()));
                }
                let count = values.iter().map(|(_, texts)| texts.len()).max().unwrap_or(0);
                for index in 0..count {
                    out.push_str(if index == 0 { "" } else { "\n" });
                    out.push_str(&format!("config {}\n", section.kind));
                    for (row, text) in values.iter().filter_map(|(row, texts)| texts.get(index).map(|text| (row, text)))
                    {
                        out.push_str(&line("option", row.name, text));
                    }
                }
            }
        }
    }
    out
}

fn option(out: &mut String, row: &Row, texts: &[String]) {
    comment(out, "\t", &format!("{} [{}]", row.doc, row.field.range()));
    let word = if row.field.is_list() && texts != ["none"] { "list" } else { "option" };
    for text in texts {
        out.push_str(&line(word, row.name, text));
    }
}

fn line(word: &str, name: &str, text: &str) -> String {
    let mut quoted = Vec::new();
    uci::quote(&mut quoted, text.as_bytes());
    format!("\t{word} {name} {}\n", String::from_utf8_lossy(&quoted))
}

fn comment(out: &mut String, indent: &str, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count().saturating_add(word.chars().count()) >= WIDTH {
            out.push_str(&format!("{indent}#{line}\n"));
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&format!("{indent}#{line}\n"));
}
