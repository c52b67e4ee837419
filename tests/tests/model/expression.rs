//! DynamoDB's condition and update expressions, as far as the store uses them. [`crate::same_table`] verifies them against a
//! real DynamoDB API.

use aws_sdk_dynamodb::types::AttributeValue;
use std::cmp::Ordering;
use std::collections::HashMap;
use store::item::Item;

/// The placeholders of one expression.
#[derive(Clone, Copy)]
pub struct Placeholders<'a> {
    pub names: Option<&'a HashMap<String, String>>,
    pub values: Option<&'a HashMap<String, AttributeValue>>,
}

/// Returns true if an item, or its absence, satisfies a condition.
pub fn holds(condition: &str, with: Placeholders<'_>, item: Option<&Item>) -> bool {
    let mut reader = Reader::new(condition, with, item);
    let holds = reader.any();
    assert!(reader.is_done(), "unparsed rest of {condition}");
    holds
}

/// The item after an update. Every clause reads the old item.
pub fn updated(update: &str, with: Placeholders<'_>, before: &Item) -> Item {
    let mut after = before.clone();
    let mut reader = Reader::new(update, with, Some(before));
    while let Some(clause) = reader.next() {
        loop {
            let name = reader.name();
            match clause {
                "SET" => {
                    reader.expect("=");
                    let mut value = reader.operand().expect("a value to set");
                    if reader.takes("+") {
                        value = sum(&value, &reader.operand().expect("a value to add"));
                    }
                    after.insert(name, value);
                }
                "REMOVE" => {
                    after.remove(&name);
                }
                "ADD" | "DELETE" => {
                    let given = reader.operand().expect("a value");
                    let changed = match (before.get(&name), &given) {
                        (None, _) if clause == "ADD" => Some(given),
                        (None, _) => None,
                        (Some(AttributeValue::Ss(old)), AttributeValue::Ss(given)) => {
                            let mut set: Vec<String> = old.clone();
                            set.retain(|one| !given.contains(one));
                            if clause == "ADD" {
                                set.extend(given.iter().cloned());
                            }
                            set.sort();
                            (!set.is_empty()).then_some(AttributeValue::Ss(set))
                        }
                        (Some(old), given) => Some(sum(old, given)),
                    };
                    match changed {
                        Some(value) => after.insert(name, value),
                        None => after.remove(&name),
                    };
                }
                other => panic!("unknown clause {other} in {update}"),
            }
            if !reader.takes(",") {
                break;
            }
        }
    }
    after
}

fn sum(a: &AttributeValue, b: &AttributeValue) -> AttributeValue {
    AttributeValue::N((number(a) + number(b)).to_string())
}

fn number(value: &AttributeValue) -> i128 {
    value.as_n().unwrap().parse().unwrap()
}

fn order(a: &AttributeValue, b: &AttributeValue) -> Option<Ordering> {
    match (a, b) {
        (AttributeValue::N(_), AttributeValue::N(_)) => Some(number(a).cmp(&number(b))),
        (AttributeValue::S(a), AttributeValue::S(b)) => Some(a.cmp(b)),
        (AttributeValue::B(a), AttributeValue::B(b)) => Some(a.as_ref().cmp(b.as_ref())),
        _ => None,
    }
}

/// Parses and evaluates an expression in one pass.
struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
    with: Placeholders<'a>,
    item: Option<&'a Item>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, with: Placeholders<'a>, item: Option<&'a Item>) -> Self {
        Self {
            words: words(text),
            at: 0,
            with,
            item,
        }
    }

    fn is_done(&self) -> bool {
        self.at == self.words.len()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied();
        self.at += usize::from(word.is_some());
        word
    }

    fn takes(&mut self, word: &str) -> bool {
        let takes = self.words.get(self.at) == Some(&word);
        self.at += usize::from(takes);
        takes
    }

    fn expect(&mut self, word: &str) {
        assert!(self.takes(word), "{word} is missing in {:?}", self.words);
    }

    /// The attribute named by the next token.
    fn name(&mut self) -> String {
        let word = self.next().expect("a name");
        if word.starts_with('#') {
            return self.with.names.expect("names")[word].clone();
        }
        word.to_owned()
    }

    fn any(&mut self) -> bool {
        let mut holds = self.all();
        while self.takes("OR") {
            holds |= self.all();
        }
        holds
    }

    fn all(&mut self) -> bool {
        let mut holds = self.one();
        while self.takes("AND") {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        if self.takes("NOT") {
            return !self.one();
        }
        if self.takes("(") {
            let holds = self.any();
            self.expect(")");
            return holds;
        }
        for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.takes(function) {
                self.expect("(");
                let name = self.name();
                self.expect(")");
                return self.item.is_some_and(|item| item.contains_key(&name)) == wanted;
            }
        }
        if self.takes("begins_with") {
            self.expect("(");
            let value = self.operand();
            self.expect(",");
            let start = self.operand();
            self.expect(")");
            return match (value, start) {
                (Some(AttributeValue::S(value)), Some(AttributeValue::S(start))) => {
                    value.starts_with(&start)
                }
                (Some(AttributeValue::B(value)), Some(AttributeValue::B(start))) => {
                    value.as_ref().starts_with(start.as_ref())
                }
                _ => false,
            };
        }
        let left = self.operand();
        if self.takes("BETWEEN") {
            let first = self.operand();
            self.expect("AND");
            let last = self.operand();
            let (Some(value), Some(first), Some(last)) = (left, first, last) else {
                return false;
            };
            return order(&value, &first).is_some_and(Ordering::is_ge)
                && order(&value, &last).is_some_and(Ordering::is_le);
        }
        if self.takes("IN") {
            self.expect("(");
            let mut found = false;
            loop {
                let one = self.operand();
                found |= left.is_some() && one == left;
                if !self.takes(",") {
                    break;
                }
            }
            self.expect(")");
            return found;
        }
        let comparison = self.next().expect("a comparison");
        let right = self.operand();
        let ordering = match (&left, &right) {
            (Some(left), Some(right)) => order(left, right),
            _ => None,
        };
        match comparison {
            "=" => left.is_some() && left == right,
            // A missing attribute equals nothing.
            "<>" => left.is_none() || left != right,
            "<" => ordering == Some(Ordering::Less),
            "<=" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            ">" => ordering == Some(Ordering::Greater),
            ">=" => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
            other => panic!("unknown comparison {other}"),
        }
    }

    fn operand(&mut self) -> Option<AttributeValue> {
        if self.takes("if_not_exists") {
            self.expect("(");
            let name = self.name();
            self.expect(",");
            let other = self.operand();
            self.expect(")");
            return self
                .item
                .and_then(|item| item.get(&name))
                .cloned()
                .or(other);
        }
        if self
            .words
            .get(self.at)
            .is_some_and(|word| word.starts_with(':'))
        {
            let word = self.next()?;
            return Some(self.with.values.expect("values")[word].clone());
        }
        let name = self.name();
        self.item.and_then(|item| item.get(&name)).cloned()
    }
}

/// The tokens: names, placeholders, keywords and signs.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_#:".contains(c);
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if ["<>", "<=", ">="].iter().any(|sign| rest.starts_with(sign)) {
            2
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    words
}
