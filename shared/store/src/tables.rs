//! The settings of the store.

use super::shards::DueShards;
use application::ports::PortError;

/// The variable with the number of shards.
const DUE_SHARDS: &str = "DUE_SHARDS";

/// The names of the tables, and the number of shards of the index.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The main table.
    pub main: String,
    /// The table of the acquirer's record.
    pub record: String,
    /// The shards of the index.
    pub due_shards: DueShards,
}

impl Tables {
    /// Tables with the default number of shards.
    pub fn new(main: impl Into<String>, record: impl Into<String>) -> Self {
        Self {
            main: main.into(),
            record: record.into(),
            due_shards: DueShards::DEFAULT,
        }
    }

    /// Reads the settings of a function. `env` reads an environment variable.
    ///
    /// # Errors
    /// The error of `env`; `Permanent` when the number of shards is not valid.
    pub fn read(
        env: impl Fn(&'static str) -> Result<String, PortError>,
    ) -> Result<Self, PortError> {
        Ok(Self {
            main: env("TABLE")?,
            record: env("RECORD_TABLE")?,
            due_shards: due_shards(&env(DUE_SHARDS)?)?,
        })
    }
}

fn due_shards(text: &str) -> Result<DueShards, PortError> {
    DueShards::parse(text).ok_or_else(|| {
        let allowed = DueShards::ALLOWED;
        PortError::Permanent(
            "environment",
            format!("{DUE_SHARDS} must be one of {allowed:?}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shards: Option<&str>) -> Result<Tables, PortError> {
        Tables::read(|name| match (name, shards) {
            ("TABLE", _) => Ok("rebind".to_owned()),
            ("RECORD_TABLE", _) => Ok("record".to_owned()),
            (DUE_SHARDS, Some(shards)) => Ok(shards.to_owned()),
            (other, _) => Err(PortError::Permanent(
                "environment",
                format!("{other} is not set"),
            )),
        })
    }

    #[test]
    fn settings_are_read() {
        let tables = read(Some("16")).unwrap();
        assert_eq!(
            (tables.main.as_str(), tables.record.as_str()),
            ("rebind", "record")
        );
        assert_eq!(tables.due_shards.get(), 16);
    }

    #[test]
    fn wrong_number_of_shards_is_named() {
        for shards in [None, Some(""), Some("3"), Some("many")] {
            let refused = read(shards).unwrap_err().to_string();
            assert!(refused.contains(DUE_SHARDS), "{refused}");
        }
    }
}
