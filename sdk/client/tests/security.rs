//! Who a client is, shown to a broker of paper that looks at every request on a connection in its order.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use highwater::{Client, ClientBuilder, ErrorCode, ErrorKind, Sasl, Security};
use highwater_wire::frame::{Frames, Next};
use highwater_wire::message::api_versions::ApiVersion;
use highwater_wire::message::metadata::MetadataResponseBroker;
use highwater_wire::message::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use highwater_wire::{ApiKey, Array, Cursor, Decode, RequestHeader, Response, encode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{advance, sleep};

/// What one connection asked for, in its order.
type Asked = Vec<ApiKey>;

#[derive(Clone)]
struct Broker {
    port: u16,
    password: &'static str,
    mechanism: &'static str,
    session_lifetime_ms: i64,
    /// How long it thinks about a question for metadata.
    pause: watch::Sender<Duration>,
    /// Whether anybody said again who they are while something they had asked was not answered.
    overtaken: Arc<AtomicBool>,
    /// Of every connection.
    asked: Arc<Mutex<Vec<Asked>>>,
    /// How many requests came, and how many connections were closed by the client.
    came: watch::Sender<(usize, usize)>,
}

impl Broker {
    async fn start(change: impl FnOnce(&mut Self)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut broker = Self {
            port: listener.local_addr().unwrap().port(),
            password: "tanstaaf",
            mechanism: "PLAIN",
            session_lifetime_ms: 0,
            pause: watch::Sender::new(Duration::ZERO),
            overtaken: Arc::default(),
            asked: Arc::default(),
            came: watch::Sender::new((0, 0)),
        };
        change(&mut broker);
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = {
                    let mut asked = serving.asked.lock().unwrap();
                    asked.push(Vec::new());
                    asked.len() - 1
                };
                tokio::spawn(serving.clone().serve(index, stream));
            }
        });
        broker
    }

    fn client(&self, password: &str) -> ClientBuilder {
        Client::builder(format!("127.0.0.1:{}", self.port))
            .security(Security::sasl_plaintext(Sasl::plain("tim", password)))
    }

    async fn serve(self, index: usize, stream: TcpStream) {
        // The kernel's clock is not paused: it may not hold an answer back for company.
        stream.set_nodelay(true).unwrap();
        let frames = Frames::new(1 << 20);
        let mut buffer = BytesMut::new();
        let (mut read, mut write) = stream.into_split();
        let (answers, mut answered) = mpsc::unbounded_channel::<(Duration, Vec<u8>)>();
        let open = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&open);
        tokio::spawn(async move {
            while let Some((pause, answer)) = answered.recv().await {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                if write.write_all(&answer).await.is_err() {
                    return;
                }
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
        });
        loop {
            match frames.next(&mut buffer).unwrap() {
                Next::Frame(frame) => {
                    let (api, answer) = self.answer(index, &frame);
                    let unanswered = open.fetch_add(1, Ordering::Relaxed);
                    if api == ApiKey::SaslHandshake && unanswered > 0 {
                        self.overtaken.store(true, Ordering::Relaxed);
                    }
                    let pause = match api {
                        ApiKey::Metadata => *self.pause.borrow(),
                        _ => Duration::ZERO,
                    };
                    if answers.send((pause, answer)).is_err() {
                        return;
                    }
                }
                Next::Wanted(bytes) => {
                    buffer.reserve(bytes);
                    if matches!(read.read_buf(&mut buffer).await, Ok(0) | Err(_)) {
                        self.came.send_modify(|came| came.1 += 1);
                        return;
                    }
                }
            }
        }
    }

    fn answer(&self, index: usize, frame: &[u8]) -> (ApiKey, Vec<u8>) {
        fn write(header: &RequestHeader<'_>, answer: &impl Response) -> Vec<u8> {
            encode_response(header.correlation_id, header.api_version, answer)
                .unwrap()
                .bytes
        }
        let mut cursor = Cursor::new(frame);
        let (api, header) = RequestHeader::read(&mut cursor).unwrap();
        self.asked.lock().unwrap()[index].push(api);
        self.came.send_modify(|came| came.0 += 1);
        let version = header.api_version;
        let answer = match api {
            ApiKey::ApiVersions => {
                let keys = [
                    ApiVersion::of::<ApiVersionsRequest<'_>>(),
                    ApiVersion::of::<MetadataRequest<'_>>(),
                    ApiVersion::of::<SaslHandshakeRequest<'_>>(),
                    ApiVersion::of::<SaslAuthenticateRequest<'_>>(),
                ];
                write(
                    &header,
                    &ApiVersionsResponse {
                        api_keys: Array::from(keys),
                        ..Default::default()
                    },
                )
            }
            ApiKey::SaslHandshake => {
                let request = SaslHandshakeRequest::decode(version, &mut cursor).unwrap();
                let known = request.mechanism == self.mechanism;
                let code = if known {
                    ErrorCode::None
                } else {
                    ErrorCode::UnsupportedSaslMechanism
                };
                write(
                    &header,
                    &SaslHandshakeResponse {
                        error_code: code.id(),
                        mechanisms: Array::from([self.mechanism]),
                    },
                )
            }
            ApiKey::SaslAuthenticate => {
                let request = SaslAuthenticateRequest::decode(version, &mut cursor).unwrap();
                let expected = format!("\0tim\0{}", self.password);
                let mut answer = SaslAuthenticateResponse {
                    session_lifetime_ms: self.session_lifetime_ms,
                    ..Default::default()
                };
                if request.auth_bytes != expected.as_bytes() {
                    answer.error_code = ErrorCode::SaslAuthenticationFailed.id();
                    answer.error_message = Some("invalid credentials, says the broker");
                }
                write(&header, &answer)
            }
            ApiKey::Metadata => write(
                &header,
                &MetadataResponse {
                    brokers: Array::from([MetadataResponseBroker {
                        node_id: 0,
                        host: "127.0.0.1",
                        port: i32::from(self.port),
                        rack: None,
                    }]),
                    ..Default::default()
                },
            ),
            other => panic!("nobody taught the broker {other}"),
        };
        (api, answer)
    }

    /// How often a client said who it is.
    fn logins(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        let login = |api: &&ApiKey| **api == ApiKey::SaslAuthenticate;
        asked.iter().flatten().filter(login).count()
    }
}

/// Has the paused clock run in small steps: it runs ahead to the next timer whenever no task has anything to do, also while
/// an answer is on its way through the loopback.
fn tick() {
    tokio::spawn(async {
        loop {
            sleep(Duration::from_millis(5)).await;
        }
    });
}

#[tokio::test]
async fn name_and_password_are_said_before_anything_is_asked() {
    let broker = Broker::start(|_| {}).await;
    broker.client("tanstaaf").connect().await.unwrap();
    let asked = broker.asked.lock().unwrap().concat();
    assert_eq!(
        asked[..4],
        [
            ApiKey::ApiVersions,
            ApiKey::SaslHandshake,
            ApiKey::SaslAuthenticate,
            ApiKey::Metadata
        ]
    );
}

#[tokio::test]
async fn a_refusal_comes_at_once_in_the_brokers_words_and_without_the_password() {
    let broker = Broker::start(|_| {}).await;
    let error = broker.client("xyzzy").connect().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Auth);
    assert!(error.is_fatal() && !error.is_retriable());
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("invalid credentials, says the broker"),
        "{shown}"
    );
    assert!(!shown.contains("xyzzy"), "{shown}");
    assert_eq!(broker.asked.lock().unwrap().len(), 1, "no second try");
}

#[tokio::test]
async fn a_mechanism_that_the_broker_lacks_is_named_with_those_it_has() {
    let broker = Broker::start(|broker| broker.mechanism = "SCRAM-SHA-512").await;
    let error = broker.client("tanstaaf").connect().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Auth);
    assert!(
        error.to_string().contains("it takes SCRAM-SHA-512"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_is_renewed_before_it_ends_with_nothing_in_between() {
    tick();
    let broker = Broker::start(|broker| broker.session_lifetime_ms = 100).await;
    let client = broker.client("tanstaaf").connect().await.unwrap();
    while broker.logins() < 4 {
        advance(Duration::from_millis(10)).await;
        client.admin().list_topics().await.unwrap();
    }
    let asked = broker.asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "on the same connection");
    for (at, api) in asked[0].iter().enumerate() {
        if *api == ApiKey::SaslHandshake {
            assert_eq!(asked[0].get(at + 1), Some(&ApiKey::SaslAuthenticate));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_renewed_once_everything_is_answered_that_was_asked_before() {
    let broker = Broker::start(|broker| broker.session_lifetime_ms = 100_000).await;
    let client = broker.client("tanstaaf").connect().await.unwrap();
    tick();
    advance(Duration::from_secs(80)).await;
    // Beyond the 85 s at which the session is to be renewed.
    broker.pause.send_replace(Duration::from_secs(10));
    let admin = client.admin();
    let next = async {
        advance(Duration::from_secs(6)).await;
        admin.list_topics().await
    };
    let (first, second) = tokio::join!(async { admin.list_topics().await }, next);
    first.unwrap();
    second.unwrap();
    let mut came = broker.came.subscribe();
    came.wait_for(|_| broker.logins() == 2).await.unwrap();
    assert!(!broker.overtaken.load(Ordering::Relaxed));
    let connections = broker.asked.lock().unwrap().len();
    assert_eq!(connections, 1, "the same all the time");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_idle_is_closed_and_made_again_when_it_is_wanted() {
    tick();
    let broker = Broker::start(|_| {}).await;
    let client = broker.client("tanstaaf");
    let client = client.property("connections.max.idle.ms", "20").unwrap();
    let client = client.connect().await.unwrap();
    let mut came = broker.came.subscribe();
    came.wait_for(|(_, closed)| *closed == 1).await.unwrap();
    client.admin().list_topics().await.unwrap();
    assert_eq!(broker.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_the_connection_and_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let silent = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
        }
    });
    for security in [
        Security::plaintext(),
        Security::sasl_plaintext(Sasl::plain("tim", "tanstaaf")),
        #[cfg(feature = "tls")]
        Security::ssl(highwater::Tls::new().dangerously_any_certificate()),
    ] {
        let client = Client::builder(&address)
            .security(security)
            .configure(|config| {
                config.connect_timeout = Duration::from_millis(50);
            });
        let error = client.connect().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Timeout, "{error}");
    }
    silent.abort();
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn files_that_are_missing_or_hold_something_else_are_named() {
    use highwater::Tls;

    let missing = Tls::new().authority_file("no-such-authority.pem");
    let text = Tls::new().authority_pem("nothing of the kind");
    let no_key = Tls::new()
        .dangerously_any_certificate()
        .identity_pem("nothing", "of the kind");
    for (tls, why) in [
        (missing, "no-such-authority.pem"),
        (text, "no certificate in PEM"),
        (no_key, "no certificate in PEM"),
    ] {
        let client = Client::builder("127.0.0.1:1").security(Security::ssl(tls));
        let error = client.connect().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    }
}
