//! List prices of AWS, from `infra/prices.json`.

use serde::Deserialize;

/// The prices of one region, in dollars.
#[derive(Clone, Debug, Deserialize)]
pub struct Prices {
    /// The month of the list.
    pub as_of: String,
    /// The region.
    pub region: String,
    /// Prices per million.
    pub per_million: PerMillion,
    /// A gigabyte of the table for a month.
    pub dynamodb_gb_month: f64,
    /// A gigabyte of its point-in-time recovery for a month.
    pub dynamodb_backup_gb_month: f64,
    /// A gigabyte that is written to the logs.
    pub log_gb: f64,
    /// A gigabyte of logs for a month.
    pub log_gb_month: f64,
    /// A key for a month.
    pub key_month: f64,
    /// A secret for a month.
    pub secret_month: f64,
    /// A custom metric for a month.
    pub custom_metric_month: f64,
    /// A metric that an alarm watches, for a month.
    pub alarm_metric_month: f64,
    /// A dashboard for a month.
    pub dashboard_month: f64,
    /// An SMS. Not AWS's: providers differ by country and volume.
    pub sms: f64,
}

/// Prices per million.
#[derive(Clone, Debug, Deserialize)]
pub struct PerMillion {
    /// Requests to the HTTP API.
    pub http_api_request: f64,
    /// Invocations.
    pub lambda_request: f64,
    /// Seconds of a gigabyte, on arm64.
    pub lambda_gb_second_arm64: f64,
    /// Write request units.
    pub dynamodb_write_unit: f64,
    /// Read request units.
    pub dynamodb_read_unit: f64,
    /// Requests to KMS.
    pub kms_request: f64,
    /// Signatures by a key of KMS.
    pub kms_signature: f64,
    /// Publishes to a topic.
    pub sns_publish: f64,
    /// Requests to a queue.
    pub sqs_request: f64,
    /// Writes of objects.
    pub s3_put: f64,
}

/// What one operation uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Requests to the HTTP API.
    pub http_requests: f64,
    /// Invocations.
    pub invocations: f64,
    /// Write request units.
    pub wru: f64,
    /// Read request units.
    pub rru: f64,
    /// Requests to KMS.
    pub kms_requests: f64,
}

impl Prices {
    /// The prices in the repository.
    ///
    /// # Errors
    /// When the file is malformed.
    pub fn load() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../../prices.json"))
    }

    /// Dollars per million of an operation, by service. Without SMS, the duration of functions and logs.
    #[must_use]
    pub fn of(&self, usage: Usage) -> [(&'static str, f64); 4] {
        let price = &self.per_million;
        let (wru, rru) = (price.dynamodb_write_unit, price.dynamodb_read_unit);
        [
            ("DynamoDB", usage.wru * wru + usage.rru * rru),
            ("KMS", usage.kms_requests * price.kms_request),
            ("HTTP API", usage.http_requests * price.http_api_request),
            ("Lambda requests", usage.invocations * price.lambda_request),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_priced_by_service() {
        let prices = Prices::load().unwrap();
        let usage = Usage {
            http_requests: 9.0,
            invocations: 14.0,
            wru: 100.0,
            rru: 30.0,
            kms_requests: 4.0,
        };
        let of = prices.of(usage);
        let sum: f64 = of.iter().map(|(_, dollars)| dollars).sum();
        assert!((of[0].1 - 66.25).abs() < 1e-9, "{of:?}");
        assert!((sum - 90.05).abs() < 1e-9, "{of:?}");
    }
}
