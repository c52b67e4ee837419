//! CloudWatch's metric math, as far as the template uses it: numbers, metrics, `+ - * /`, comparisons, `IF` and `FILL`. A metric without
//! data makes everything without data that is computed from it.

use std::collections::BTreeMap;

/// The value of each metric in one period.
pub type Series = BTreeMap<String, Option<f64>>;

/// The value of an expression.
pub fn evaluate(text: &str, series: &Series) -> Result<Option<f64>, String> {
    let mut parser = Parser {
        rest: text.trim(),
        series,
    };
    let value = parser.comparison()?;
    match parser.rest {
        "" => Ok(value),
        rest => Err(format!("unexpected: {rest}")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    series: &'a Series,
}

type Parsed = Result<Option<f64>, String>;

fn both(left: Option<f64>, right: Option<f64>, with: impl Fn(f64, f64) -> f64) -> Option<f64> {
    Some(with(left?, right?))
}

impl Parser<'_> {
    fn takes(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn demands(&mut self, token: &str) -> Result<(), String> {
        match self.takes(token) {
            true => Ok(()),
            false => Err(format!("{token} expected before: {}", self.rest)),
        }
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let is = |truth: bool| f64::from(u8::from(truth));
        if self.takes(">=") {
            Ok(both(left, self.sum()?, |a, b| is(a >= b)))
        } else if self.takes(">") {
            Ok(both(left, self.sum()?, |a, b| is(a > b)))
        } else {
            Ok(left)
        }
    }

    fn sum(&mut self) -> Parsed {
        let mut value = self.product()?;
        loop {
            if self.takes("+") {
                value = both(value, self.product()?, |a, b| a + b);
            } else if self.takes("-") {
                value = both(value, self.product()?, |a, b| a - b);
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Parsed {
        let mut value = self.operand()?;
        loop {
            if self.takes("*") {
                value = both(value, self.operand()?, |a, b| a * b);
            } else if self.takes("/") {
                // CloudWatch has no data where a division is by zero.
                value =
                    both(value, self.operand()?, |a, b| a / b).filter(|value| value.is_finite());
            } else {
                return Ok(value);
            }
        }
    }

    fn operand(&mut self) -> Parsed {
        if self.takes("(") {
            let value = self.comparison()?;
            self.demands(")")?;
            return Ok(value);
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        match word {
            "IF" => {
                let [condition, then, otherwise] = self.arguments()?;
                Ok(condition.and_then(|truth| if truth == 0.0 { otherwise } else { then }))
            }
            "FILL" => {
                let [value, filling] = self.arguments()?;
                Ok(value.or(filling))
            }
            number if number.starts_with(|c: char| c.is_ascii_digit()) => {
                let number = number
                    .parse()
                    .map_err(|error| format!("{number}: {error}"))?;
                Ok(Some(number))
            }
            name => {
                let value = self.series.get(name);
                value.copied().ok_or_else(|| format!("no metric `{name}`"))
            }
        }
    }

    fn arguments<const N: usize>(&mut self) -> Result<[Option<f64>; N], String> {
        let mut arguments = [None; N];
        self.demands("(")?;
        for (index, argument) in arguments.iter_mut().enumerate() {
            if index > 0 {
                self.demands(",")?;
            }
            *argument = self.comparison()?;
        }
        self.demands(")")?;
        Ok(arguments)
    }
}

#[test]
fn expressions_are_evaluated_like_cloudwatch_does() {
    let series = Series::from([
        ("a".to_owned(), Some(6.0)),
        ("b".to_owned(), Some(4.0)),
        ("none".to_owned(), None),
    ]);
    for (text, expected) in [
        ("1 + 2 * 3", Some(7.0)),
        ("(1 + 2) * 3", Some(9.0)),
        ("a - b", Some(2.0)),
        ("a / 0", None),
        ("a > b", Some(1.0)),
        ("b >= 5", Some(0.0)),
        ("a + none", None),
        ("a + FILL(none, 1)", Some(7.0)),
        ("IF(a > b, 100 * b / a, 0) > 50", Some(1.0)),
        ("IF(none > 0, 1, 2)", None),
    ] {
        assert_eq!(evaluate(text, &series), Ok(expected), "{text}");
    }
    for bad in ["a +", "c", "IF(a, b)", "FILL(a, 0", "a b", ""] {
        assert!(evaluate(bad, &series).is_err(), "{bad}");
    }
}
