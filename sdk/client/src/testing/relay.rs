//! One connection through the proxy: frames go to the broker as they are, answers come back in order, and each may meet a
//! fault on the way. Which fault is the rules' business.
//!
//! ```text
//!  client ── frame ──► up ── frame ──► broker
//!                      │ slot: what is to become of the answer
//!                      ▼
//!  client ◄─ answer ── down ◄─ answer ── broker
//! ```

use std::io;

use bytes::{Buf, Bytes};
use highwater_wire::{ApiKey, ErrorCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::asked::Asked;
use super::fault::{Delivery, Fault};
use super::frames::{FrameReader, framed};
use super::refusal::refusal;
use super::rewrite::{batch_byte, corrupted, rewrite};
use super::route::{Routes, Wanted, closing};

/// Requests of one connection that wait for their answers; more wait in the socket.
const SLOTS_MAX: usize = 1024;

/// What a connection belongs to.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) routes: Routes,
    pub(super) route: u64,
    pub(super) wanted: watch::Receiver<Wanted>,
}

/// What is to become of an answer.
#[derive(Debug)]
enum Slot {
    /// This is it; the broker knows nothing of it.
    Local(Vec<u8>),
    /// The broker's next answer is not passed on.
    Swallow,
    /// Nothing comes, here or later.
    Hang,
    /// The broker's next answer, to a request of this API and version.
    Remote {
        of: Option<(ApiKey, i16)>,
        fault: Option<Fault>,
        /// Takes the place of the broker's answer.
        instead: Option<Vec<u8>>,
    },
}

/// Serves one client until either side ends, or the connection has to close.
pub(super) async fn relay(client: TcpStream, link: Link) {
    let closing = closing(link.wanted.clone());
    tokio::select! {
        () = closing => {}
        carried = carry(client, &link) => if let Err(error) = carried {
            tracing::debug!(%error, "a relayed connection broke");
        },
    }
}

async fn carry(client: TcpStream, link: &Link) -> io::Result<()> {
    let Some((upstream, node)) = link.routes.upstream(link.route) else {
        return Ok(());
    };
    let broker = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let (slots, awaited) = mpsc::channel(SLOTS_MAX);
    let up = Up {
        link,
        node,
        slots,
        to_broker,
    };
    let down = Down {
        link,
        node,
        slots: awaited,
        from_broker: FrameReader::new(from_broker),
        to_client,
    };
    let down = down.run();
    tokio::pin!(down);
    tokio::select! {
        ended = &mut down => ended,
        ended = up.run(FrameReader::new(from_client)) => match ended? {
            // What the client sent before it went is still to be dealt with.
            Ended::ByClient => down.await,
            Ended::ByFault => Ok(()),
        },
    }
}

enum Ended {
    ByClient,
    ByFault,
}

/// The way of the requests.
struct Up<'a> {
    link: &'a Link,
    node: Option<i32>,
    slots: mpsc::Sender<Slot>,
    to_broker: OwnedWriteHalf,
}

impl Up<'_> {
    async fn run(mut self, mut from_client: FrameReader<OwnedReadHalf>) -> io::Result<Ended> {
        while let Some(frame) = from_client.next().await? {
            self.link.routes.go().await;
            match Asked::read(self.node.unwrap_or(-1), &frame) {
                Ok(asked) => {
                    if !self.pass(&asked, &frame).await? {
                        return Ok(Ended::ByFault);
                    }
                }
                // Not a request: the bytes of an authentication, say.
                Err(_) => self.forward(&frame, plain(None)).await?,
            }
        }
        self.to_broker.shutdown().await?;
        Ok(Ended::ByClient)
    }

    /// Deals with a request; `false` ends the connection.
    async fn pass(&mut self, asked: &Asked<'_>, frame: &Bytes) -> io::Result<bool> {
        let rules = self.link.routes.rules();
        rules.saw(asked.api);
        let fault = rules.strike(asked, frame, self.node);
        let of = Some((asked.api, asked.version));
        if asked.is_one_way() {
            return self.pass_one_way(asked, frame, fault).await;
        }
        match fault {
            Some(Fault::DisconnectBefore) => return Ok(false),
            Some(Fault::Lose) => self.slot(Slot::Hang).await,
            // Whose answer names brokers, whatever else it says.
            Some(Fault::Refuse(_)) if asked.api == ApiKey::Metadata => {
                self.forward(frame, remote(of, fault, None)).await?;
            }
            Some(Fault::Refuse(code)) => match refusal(asked, code) {
                Some(bytes) => self.slot(Slot::Local(bytes)).await,
                None => self.forward(frame, plain(of)).await?,
            },
            Some(Fault::RefuseAfter(code)) if asked.api != ApiKey::Metadata => {
                let instead = refusal(asked, code);
                self.forward(frame, remote(of, fault, instead)).await?;
            }
            Some(Fault::CorruptBatch) => {
                let corrupt = corrupted(asked, frame);
                self.forward(&Bytes::from(corrupt), plain(of)).await?;
            }
            Some(Fault::Duplicate) => {
                self.forward(frame, plain(of)).await?;
                self.forward(frame, Slot::Swallow).await?;
            }
            _ => self.forward(frame, remote(of, fault, None)).await?,
        }
        Ok(true)
    }

    /// Deals with a request that has no answer; `false` ends the connection.
    async fn pass_one_way(
        &mut self,
        asked: &Asked<'_>,
        frame: &Bytes,
        fault: Option<Fault>,
    ) -> io::Result<bool> {
        match fault {
            Some(Fault::DisconnectBefore) => return Ok(false),
            Some(Fault::Refuse(_)) => {}
            Some(Fault::Lose) => self.slot(Slot::Hang).await,
            Some(Fault::Drop) => {
                self.write(frame).await?;
                self.slot(Slot::Hang).await;
            }
            Some(Fault::CorruptBatch) => {
                self.write(&Bytes::from(corrupted(asked, frame))).await?;
            }
            Some(Fault::Duplicate) => {
                self.write(frame).await?;
                self.write(frame).await?;
            }
            _ => self.write(frame).await?,
        }
        Ok(fault != Some(Fault::DisconnectAfter))
    }

    async fn slot(&self, slot: Slot) {
        // Nobody awaits it when the connection is about to end.
        let _ = self.slots.send(slot).await;
    }

    async fn forward(&mut self, frame: &Bytes, slot: Slot) -> io::Result<()> {
        self.slot(slot).await;
        self.write(frame).await
    }

    async fn write(&mut self, frame: &Bytes) -> io::Result<()> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut bytes = Buf::chain(Bytes::copy_from_slice(&length.to_be_bytes()), frame.clone());
        self.to_broker.write_all_buf(&mut bytes).await
    }
}

fn plain(of: Option<(ApiKey, i16)>) -> Slot {
    remote(of, None, None)
}

fn remote(of: Option<(ApiKey, i16)>, fault: Option<Fault>, instead: Option<Vec<u8>>) -> Slot {
    Slot::Remote { of, fault, instead }
}

/// The way of the answers.
struct Down<'a> {
    link: &'a Link,
    node: Option<i32>,
    slots: mpsc::Receiver<Slot>,
    from_broker: FrameReader<OwnedReadHalf>,
    to_client: OwnedWriteHalf,
}

impl Down<'_> {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let slot = tokio::select! {
                biased;
                slot = self.slots.recv() => slot,
                // Nobody asked: a broker that goes, or breaks the protocol itself.
                frame = self.from_broker.next() => frame?.map(|it| Slot::Local(framed(&it))),
            };
            let Some(slot) = slot else { return Ok(()) };
            let (of, fault, instead) = match slot {
                Slot::Local(bytes) => {
                    self.send(&bytes).await?;
                    continue;
                }
                Slot::Hang => return self.hang().await,
                Slot::Swallow => {
                    self.from_broker.next().await?;
                    continue;
                }
                Slot::Remote { of, fault, instead } => (of, fault, instead),
            };
            let Some(frame) = self.from_broker.next().await? else {
                return Ok(());
            };
            let bytes = instead.unwrap_or_else(|| self.shown(of, &frame, fault));
            if !self.deliver(bytes, fault).await? {
                return Ok(());
            }
        }
    }

    /// The answer as the client may see it, its length included.
    fn shown(&self, of: Option<(ApiKey, i16)>, frame: &Bytes, fault: Option<Fault>) -> Vec<u8> {
        let Some((api, version)) = of else {
            return framed(frame);
        };
        let rules = self.link.routes.rules();
        let refuse: Option<ErrorCode> = match fault {
            Some(Fault::Refuse(code) | Fault::RefuseAfter(code)) => Some(code),
            _ => None,
        };
        let mut bytes = frame.to_vec();
        if api == ApiKey::Fetch
            && let Some(byte) = batch_byte(version, frame).and_then(|at| bytes.get_mut(at))
            && rules.strike_records(self.node)
        {
            *byte ^= 1;
        }
        let rewritten = rewrite(api, version, &bytes, &mut &self.link.routes, refuse);
        rewritten.unwrap_or_else(|| framed(&bytes))
    }

    /// Sends an answer as the fault has it; `false` ends the connection.
    async fn deliver(&mut self, bytes: Vec<u8>, fault: Option<Fault>) -> io::Result<bool> {
        if let Some(Fault::Delay(delay)) = fault {
            sleep(delay).await;
        }
        match Fault::delivery(fault, bytes) {
            Delivery::Whole(bytes) => self.send(&bytes).await.map(|()| true),
            Delivery::Last(bytes) => self.send(&bytes).await.map(|()| false),
            Delivery::Hang => self.hang().await.map(|()| false),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.link.routes.go().await;
        self.to_client.write_all(bytes).await
    }

    /// Takes what comes and passes nothing on, until either side ends.
    async fn hang(&mut self) -> io::Result<()> {
        loop {
            tokio::select! {
                slot = self.slots.recv() => if slot.is_none() { return Ok(()) },
                frame = self.from_broker.next() => if frame?.is_none() { return Ok(()) },
            }
        }
    }
}
