//! Scripted peers of the functions, except the table: in-memory keys, message boxes and a bank with scripted answers.

use crate::anchoring::{call, lost_call};
use crate::iam_policy::{Context, IamRecorder};
use crate::peer_faults::{DroppedPart, PeerCalls};
use crate::transport::code_in;
use application::ports::{
    CardQuestion, CheckCard, DataKey, ForgetPush, HashKey, HashKeyVersions, KeyService,
    LogPublicKey, PortError, Pushed, QueryCheck, QueryOutcome, QueryTransfer, SendPush, SendSms,
    SendTransfer, SignCheckpoint, SignInstruction, SmsAnswer, Transfer,
};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::decide::BankAnswer;
use domain::pii::Phone;
use domain::push::PushPlatform;
use domain::secret::Secret;
use domain::sms::Message;
use domain::transfer::TransferAnswer;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// In-memory keys. Each is wrapped with its context, so that another context cannot unwrap it.
#[derive(Clone, Debug, Default)]
pub struct MemoryKeys {
    pub(crate) wrapped: Arc<Mutex<HashMap<Vec<u8>, WrappedKey>>>,
    /// The calling function, whose role is checked.
    pub(crate) role: Option<(&'static str, IamRecorder)>,
    pub(crate) peer_calls: PeerCalls,
    /// True if the key service fails to derive hash keys.
    pub(crate) hash_keys_fail: Arc<AtomicBool>,
    /// The versions of every hash key; version 1 if absent.
    pub(crate) hash_versions: Option<HashKeyVersions>,
    /// The hash keys that the holder may use; all if absent.
    pub(crate) hash_keys: Option<&'static [HashKey]>,
}

/// The purpose, the context and the key.
pub(crate) type WrappedKey = (DataKey, String, Vec<u8>);

impl MemoryKeys {
    /// The same keys for a function, limited to its role.
    pub(crate) fn of(&self, function: &'static str, iam: &IamRecorder) -> Self {
        Self {
            role: Some((function, iam.clone())),
            ..self.clone()
        }
    }

    /// The same keys during a rotation of the hash keys from version 1 to version 2.
    #[must_use]
    pub fn rotating(&self) -> Self {
        self.in_versions(2, true)
    }

    /// The same keys, with these versions of the hash keys.
    #[must_use]
    pub fn in_versions(&self, current: u32, has_previous: bool) -> Self {
        Self {
            hash_versions: Some(HashKeyVersions {
                current,
                has_previous,
            }),
            ..self.clone()
        }
    }

    /// The same keys in the hands of someone who may use only these hash keys.
    #[must_use]
    pub fn with_only(&self, hash_keys: &'static [HashKey]) -> Self {
        Self {
            hash_keys: Some(hash_keys),
            ..self.clone()
        }
    }

    /// A lost request and a lost reply are equivalent, because the key service has no side effects.
    fn reach(&self) -> Result<(), PortError> {
        match self.peer_calls.call("keys") {
            None => Ok(()),
            Some(_) => Err(PortError::Transient("the key service", "lost".to_owned())),
        }
    }

    fn authorize(&self, action: &str, resource: &str, context: &[(&str, &str)]) {
        let Some((function, iam)) = &self.role else {
            return;
        };
        let context = Context {
            encryption: context
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Context::default()
        };
        let allowed = iam.authorize(function, action, resource, &context);
        allowed.unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}

impl KeyService for MemoryKeys {
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions> {
        let usable = self.hash_keys.is_none_or(|keys| keys.contains(&key));
        usable.then(|| {
            self.hash_versions.unwrap_or(HashKeyVersions {
                current: 1,
                has_previous: false,
            })
        })
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        self.authorize("kms:GenerateMac", &format!("{key:?}Key{version}.Arn"), &[]);
        if self.hash_keys_fail.load(Ordering::Relaxed) {
            return Err(PortError::Transient("the key service", "lost".to_owned()));
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a key of the tests").unwrap();
        mac.update(format!("{key:?} {version}").as_bytes());
        Ok(Secret::new(mac.finalize().into_bytes().to_vec()))
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        self.authorize("kms:GenerateDataKey", &format!("{key:?}Key.Arn"), context);
        self.reach()?;
        let mut plain = vec![0; 32];
        // Padded to the length of a KMS ciphertext, because the budgets count these bytes.
        let mut wrapped = vec![0; 184];
        getrandom::fill(&mut plain).unwrap();
        getrandom::fill(&mut wrapped).unwrap();
        self.wrapped.lock().unwrap().insert(
            wrapped.clone(),
            (key, format!("{context:?}"), plain.clone()),
        );
        Ok((Secret::new(plain), wrapped))
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        self.authorize("kms:Decrypt", &format!("{key:?}Key.Arn"), context);
        self.reach()?;
        let known = self.wrapped.lock().unwrap().get(wrapped).cloned();
        let fits =
            known.filter(|(kind, bound, _)| *kind == key && *bound == format!("{context:?}"));
        fits.map(|(_, _, plain)| Secret::new(plain)).ok_or_else(|| {
            PortError::Permanent("the key service", "InvalidCiphertextException".to_owned())
        })
    }
}

/// A signing key in memory.
#[derive(Clone)]
pub struct MemorySigner {
    pair: Arc<EcdsaKeyPair>,
    keys: MemoryKeys,
    /// The key in the template.
    name: &'static str,
    /// The signed checkpoints.
    checkpoints: Arc<Mutex<Vec<String>>>,
}

impl MemorySigner {
    /// A new key for payout instructions, held by the holder of these keys.
    #[must_use]
    pub(crate) fn new(keys: MemoryKeys) -> Self {
        Self::named(keys, "PayoutSigningKey")
    }

    /// A new key with this name in the template.
    #[must_use]
    pub(crate) fn named(keys: MemoryKeys, name: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self {
            pair: Arc::new(pair),
            keys,
            name,
            checkpoints: Arc::default(),
        }
    }

    /// The same key, with the permissions of another holder.
    #[must_use]
    pub(crate) fn held_by(&self, keys: MemoryKeys) -> Self {
        Self {
            keys,
            ..self.clone()
        }
    }

    /// The texts of all checkpoints that the key has signed, published or not.
    #[must_use]
    pub fn signed_checkpoints(&self) -> Vec<String> {
        self.checkpoints.lock().unwrap().clone()
    }

    fn authorize(&self, action: &str) {
        let key = format!("{}.Arn", self.name);
        self.keys.authorize(action, &key, &[]);
    }

    /// The public key, as `kms:GetPublicKey` and OpenSSL print it.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// True for the signature of this key under a compact JWS.
    #[must_use]
    pub fn has_signed(&self, message: &str) -> bool {
        let (content, signature) = message.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key());
        public.verify(content.as_bytes(), &signature).is_ok()
    }
}

impl SignInstruction for MemorySigner {
    fn key_id(&self) -> &str {
        self.name
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError> {
        self.authorize("kms:Sign");
        self.keys.reach()?;
        let signature = self.pair.sign(&SystemRandom::new(), message).unwrap();
        Ok(signature.as_ref().to_vec())
    }
}

impl LogPublicKey for MemorySigner {
    async fn public_key(&self) -> Result<Vec<u8>, PortError> {
        self.authorize("kms:GetPublicKey");
        if call(&self.keys.peer_calls, "public key").await.is_some() {
            return Err(lost_call());
        }
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        Ok(der.as_ref().to_vec())
    }
}

impl SignCheckpoint for MemorySigner {
    async fn sign_checkpoint(&self, text: &[u8]) -> Result<Vec<u8>, PortError> {
        self.authorize("kms:Sign");
        let lost = call(&self.keys.peer_calls, "sign").await;
        if lost == Some(DroppedPart::Request) {
            return Err(lost_call());
        }
        let text = String::from_utf8(text.to_vec()).unwrap();
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes());
        self.checkpoints.lock().unwrap().push(text);
        match lost {
            None => Ok(signature.unwrap().as_ref().to_vec()),
            Some(_) => Err(lost_call()),
        }
    }
}

/// Every SMS, by phone.
#[derive(Clone, Debug, Default)]
pub struct SmsBox {
    pub(crate) sent: Arc<Mutex<Vec<(String, String)>>>,
    pub(crate) down: Arc<Mutex<bool>>,
    pub(crate) refused: Arc<Mutex<Option<String>>>,
    pub(crate) failing: Arc<Mutex<Option<String>>>,
    pub(crate) peer_calls: PeerCalls,
}

impl SmsBox {
    /// The texts to a phone, oldest first.
    #[must_use]
    pub fn to(&self, phone: &str) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .filter(|(to, _)| to == phone)
            .map(|(_, text)| text.clone())
            .collect()
    }

    /// How many were sent.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// The OTP in the last SMS to a phone.
    #[must_use]
    pub fn code(&self, phone: &str) -> String {
        let text = self.to(phone).pop().expect("an SMS");
        code_in(&text).unwrap_or_else(|| panic!("no code in the last SMS to {phone}"))
    }

    /// Makes messages to this phone fail, or to none.
    pub fn fail_for(&self, phone: Option<&str>) {
        *self.failing.lock().unwrap() = phone.map(str::to_owned);
    }

    /// Makes the operator refuse this phone, or none.
    pub fn refuse(&self, phone: Option<&str>) {
        *self.refused.lock().unwrap() = phone.map(str::to_owned);
    }

    /// Makes publishing fail, or work again.
    pub fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }
}

impl SendSms for SmsBox {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        let is = |phones: &Mutex<Option<String>>| {
            phones.lock().unwrap().as_deref() == Some(phone.e164())
        };
        if is(&self.failing) || *self.down.lock().unwrap() {
            return Err(PortError::Transient("SMS", "down".to_owned()));
        }
        if is(&self.refused) {
            return Ok(SmsAnswer::PhoneRefused);
        }
        let lost = self.peer_calls.call("sms");
        if lost != Some(DroppedPart::Request) {
            let sent = (phone.e164().to_owned(), message.text.clone());
            self.sent.lock().unwrap().push(sent);
        }
        match lost {
            None => Ok(SmsAnswer::Accepted),
            Some(_) => Err(PortError::Transient("SMS", "lost".to_owned())),
        }
    }
}

/// A transfer as received by the bank.
#[derive(Clone, Debug)]
pub struct SentTransfer {
    /// The bank reference.
    pub serial: String,
    /// The payee's card.
    pub card_number: String,
    /// The text on the payee's statement.
    pub descriptor: String,
    /// True if the bank checks the payee's name.
    pub check_name: bool,
}

/// A bank with scripted answers, each used once. The defaults are "match" for a check and "succeeded" for a transfer. A
/// decision is final per bank reference; "busy" and "quota" decide nothing. Records the references.
#[derive(Clone, Debug, Default)]
pub struct ScriptedBank {
    pub(crate) answers: Arc<Mutex<VecDeque<Option<BankAnswer>>>>,
    pub(crate) serials: Arc<Mutex<Vec<String>>>,
    pub(crate) names: Arc<Mutex<Vec<String>>>,
    pub(crate) decided: Arc<Mutex<HashMap<String, BankAnswer>>>,
    pub(crate) transfer_answers: Arc<Mutex<VecDeque<Option<TransferAnswer>>>>,
    pub(crate) transfers: Arc<Mutex<Vec<SentTransfer>>>,
    pub(crate) settled: Arc<Mutex<HashMap<String, TransferAnswer>>>,
    pub(crate) pause: Arc<Mutex<Duration>>,
    pub(crate) silent: Arc<Mutex<bool>>,
    pub(crate) peer_calls: PeerCalls,
}

impl ScriptedBank {
    /// Delays each answer, so that concurrent requests interleave.
    pub fn set_answer_delay(&self, pause: Duration) {
        *self.pause.lock().unwrap() = pause;
    }

    /// Stops or resumes answering queries.
    pub fn set_silent(&self, silent: bool) {
        *self.silent.lock().unwrap() = silent;
    }

    fn recalled<A: Copy>(
        &self,
        known: &Mutex<HashMap<String, A>>,
        serial: &str,
    ) -> QueryOutcome<A> {
        let lost = self.peer_calls.call("bank").is_some();
        if lost || *self.silent.lock().unwrap() {
            return QueryOutcome::Unknown;
        }
        let known = known.lock().unwrap().get(serial).copied();
        known.map_or(QueryOutcome::NeverSeen, QueryOutcome::Answer)
    }

    async fn pause(&self) {
        let pause = *self.pause.lock().unwrap();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Scripts the next answers. `None` means no answer.
    pub fn script(&self, answers: impl IntoIterator<Item = Option<BankAnswer>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// Scripts the next answers to transfers. `None` means no answer.
    pub fn script_transfers(&self, answers: impl IntoIterator<Item = Option<TransferAnswer>>) {
        self.transfer_answers.lock().unwrap().extend(answers);
    }

    /// Scripts the answer to the next transfer.
    pub fn next_transfer(&self, answer: TransferAnswer) {
        self.script_transfers([Some(answer)]);
    }

    /// Replaces the bank's decision about the last transfer. Returns its bank reference.
    pub fn settle_last(&self, answer: TransferAnswer) -> String {
        let serial = self.transfers().pop().expect("a transfer").serial;
        self.settle(&serial, answer);
        serial
    }

    /// The bank references of all requests.
    #[must_use]
    pub fn serials(&self) -> Vec<String> {
        self.serials.lock().unwrap().clone()
    }

    /// The holders' names of all checks.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    /// The transfers received, repetitions included.
    #[must_use]
    pub fn transfers(&self) -> Vec<SentTransfer> {
        self.transfers.lock().unwrap().clone()
    }

    /// The code at the end of the last transfer's descriptor.
    #[must_use]
    pub fn deposit_code(&self) -> String {
        let last = self.transfers().pop().expect("a transfer");
        let code: Vec<char> = last.descriptor.chars().rev().take(6).collect();
        code.into_iter().rev().collect()
    }

    /// Replaces the bank's decision about a transfer.
    pub fn settle(&self, serial: &str, answer: TransferAnswer) {
        self.settled
            .lock()
            .unwrap()
            .insert(serial.to_owned(), answer);
    }

    /// The bank's decision about a check whose answer was lost.
    pub fn decide(&self, serial: &str, answer: BankAnswer) {
        self.decided
            .lock()
            .unwrap()
            .insert(serial.to_owned(), answer);
    }
}

impl CheckCard for ScriptedBank {
    async fn check(&self, question: &CardQuestion) -> Option<BankAnswer> {
        let lost = self.peer_calls.call("bank");
        if lost == Some(DroppedPart::Request) {
            return None;
        }
        self.serials.lock().unwrap().push(question.serial.clone());
        let name = question.holder_name.expose().to_owned();
        self.names.lock().unwrap().push(name);
        self.pause().await;
        if let Some(known) = self.decided.lock().unwrap().get(&question.serial) {
            return Some(*known).filter(|_| lost.is_none());
        }
        let answer = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Some(BankAnswer::DEBIT_MATCH));
        let decides_nothing = [BankAnswer::Busy, BankAnswer::Quota];
        if let Some(answer) = answer.filter(|answer| !decides_nothing.contains(answer)) {
            self.decide(&question.serial, answer);
        }
        answer.filter(|_| lost.is_none())
    }
}

impl QueryCheck for ScriptedBank {
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer> {
        self.recalled(&self.decided, serial)
    }
}

impl SendTransfer for ScriptedBank {
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer> {
        let lost = self.peer_calls.call("bank");
        if lost == Some(DroppedPart::Request) {
            return None;
        }
        self.transfers.lock().unwrap().push(SentTransfer {
            serial: transfer.serial.clone(),
            card_number: transfer.card_number.expose().to_owned(),
            descriptor: transfer.descriptor.expose().clone(),
            check_name: transfer.check_name,
        });
        self.pause().await;
        if let Some(known) = self.settled.lock().unwrap().get(&transfer.serial) {
            return Some(*known).filter(|_| lost.is_none());
        }
        let answer = self
            .transfer_answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Some(TransferAnswer::Succeeded));
        if let Some(answer) = answer {
            self.settle(&transfer.serial, answer);
        }
        answer.filter(|_| lost.is_none())
    }
}

impl QueryTransfer for ScriptedBank {
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer> {
        self.recalled(&self.settled, serial)
    }
}

/// Every push: platform, token, text.
#[derive(Clone, Debug, Default)]
pub struct PushBox {
    pub(crate) sent: Arc<Mutex<Vec<(PushPlatform, String, String)>>>,
    pub(crate) forgotten: Arc<Mutex<Vec<String>>>,
    pub(crate) results: Arc<Mutex<VecDeque<Result<Pushed, PortError>>>>,
    pub(crate) peer_calls: PeerCalls,
}

impl PushBox {
    /// All pushes, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<(PushPlatform, String, String)> {
        self.sent.lock().unwrap().clone()
    }

    /// The tokens of the pushes since the last time, oldest first.
    #[must_use]
    pub fn take_tokens(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.into_iter().map(|(_, token, _)| token).collect()
    }

    /// The tokens that were removed from the service, oldest first.
    #[must_use]
    pub fn forgotten(&self) -> Vec<String> {
        self.forgotten.lock().unwrap().clone()
    }

    /// Scripts the results of the next pushes. All others are sent.
    pub fn script(&self, results: impl IntoIterator<Item = Result<Pushed, PortError>>) {
        self.results.lock().unwrap().extend(results);
    }
}

impl ForgetPush for PushBox {
    async fn forget(&self, _: PushPlatform, token: &Secret<String>) -> Result<(), PortError> {
        let lost = self.peer_calls.call("push");
        if lost != Some(DroppedPart::Request) {
            let mut forgotten = self.forgotten.lock().unwrap();
            forgotten.push(token.expose().clone());
        }
        match lost {
            Some(_) => Err(PortError::Transient("push", "lost".to_owned())),
            None => Ok(()),
        }
    }
}

impl SendPush for PushBox {
    async fn push(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
        text: &str,
    ) -> Result<Pushed, PortError> {
        let lost = self.peer_calls.call("push");
        let failed = || Err(PortError::Transient("push", "lost".to_owned()));
        if lost == Some(DroppedPart::Request) {
            return failed();
        }
        let result = self.results.lock().unwrap().pop_front();
        let result = result.unwrap_or(Ok(Pushed::Sent));
        if matches!(result, Ok(Pushed::Sent)) {
            let sent = (platform, token.expose().clone(), text.to_owned());
            self.sent.lock().unwrap().push(sent);
        }
        if lost.is_some() { failed() } else { result }
    }
}
