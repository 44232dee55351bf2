//! Where a proxy shows each broker: one listener per bootstrap address and per broker, made as brokers become known. What
//! goes over the connections is the relay's business.
//!
//! ```text
//!  127.0.0.1:41001   bootstrap    ──►  kafka-1:9092     stays, whatever becomes of the brokers
//!  127.0.0.1:41002   broker 1     ──►  10.0.0.7:9092    as the first answer that named it said
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use super::relay::{Link, relay};
use super::rewrite::Shown;
use super::rule::Rules;

const BACKLOG: u32 = 1024;

/// The listeners of one proxy and what they share. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Routes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    rules: Rules,
    paused: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Table {
    routes: BTreeMap<u64, Route>,
    made: u64,
    /// The ids under which brokers are shown, where these are not their own.
    ids: BTreeMap<i32, i32>,
    /// Whether brokers that become known are refused, too.
    down: bool,
    closed: bool,
}

#[derive(Debug)]
struct Route {
    /// `None` is a bootstrap address.
    node: Option<i32>,
    upstream: String,
    local: SocketAddr,
    wanted: watch::Sender<Wanted>,
    is: watch::Receiver<Door>,
}

/// What a listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    door: Door,
    /// Grows when the connections there are have to close.
    cuts: u64,
}

/// Whether a listener takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    /// Connections are refused; the port is kept.
    Shut,
    Gone,
}

impl Routes {
    pub(super) fn new(rules: Rules) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            rules,
            paused: watch::Sender::new(false),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Opens a listener in front of `upstream`.
    ///
    /// # Errors
    ///
    /// When no port of the loopback can be had.
    pub(super) fn open(&self, node: Option<i32>, upstream: String) -> std::io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let local = listener.local_addr()?;
        let mut table = self.lock();
        let door = if table.down { Door::Shut } else { Door::Open };
        let wanted = watch::Sender::new(Wanted { door, cuts: 0 });
        let (told, is) = watch::channel(Door::Open);
        table.made += 1;
        let id = table.made;
        let link = Link {
            routes: self.clone(),
            route: id,
            wanted: wanted.subscribe(),
        };
        if !table.closed {
            tokio::spawn(serve(listener, local, link, told));
            let route = Route {
                node,
                upstream,
                local,
                wanted,
                is,
            };
            table.routes.insert(id, route);
        }
        Ok(local)
    }

    /// What is behind a listener, and the broker's id when it is known.
    pub(super) fn upstream(&self, route: u64) -> Option<(String, Option<i32>)> {
        let table = self.lock();
        let route = table.routes.get(&route)?;
        Some((route.upstream.clone(), route.node))
    }

    /// What was behind `old` is now behind `new`.
    pub(super) fn retarget(&self, old: &str, new: &str) {
        for route in self.lock().routes.values_mut() {
            if route.upstream == old {
                new.clone_into(&mut route.upstream);
            }
        }
    }

    fn tell(&self, of: Option<i32>, change: impl Fn(&mut Wanted)) -> Vec<watch::Receiver<Door>> {
        let table = self.lock();
        let routes = table.routes.values();
        routes
            .filter(|route| of.is_none() || route.node == of)
            .map(|route| {
                route.wanted.send_modify(&change);
                route.is.clone()
            })
            .collect()
    }

    async fn turn(&self, of: Option<i32>, door: Door) {
        for mut is in self.tell(of, |wanted| wanted.door = door) {
            // An error says that the listener is gone altogether.
            let _ = is.wait_for(|is| *is == door || *is == Door::Gone).await;
        }
    }

    /// Closes the connections to broker `of`, or all.
    pub(super) fn cut(&self, of: Option<i32>) {
        self.tell(of, |wanted| wanted.cuts += 1);
    }

    /// Refuses connections to broker `of`, or all, and closes those there are.
    pub(super) async fn shut(&self, of: Option<i32>) {
        if of.is_none() {
            self.lock().down = true;
        }
        self.turn(of, Door::Shut).await;
    }

    pub(super) async fn reopen(&self, of: Option<i32>) {
        if of.is_none() {
            self.lock().down = false;
        }
        self.turn(of, Door::Open).await;
    }

    /// Shows broker `node` under another id and, when next asked, at another address. What it was shown at is closed.
    pub(super) async fn replace(&self, node: i32, id: i32) {
        let gone: Vec<_> = {
            let mut table = self.lock();
            table.ids.insert(node, id);
            let gone = table.routes.extract_if(.., |_, it| it.node == Some(node));
            gone.map(|(_, route)| route).collect()
        };
        for mut route in gone {
            route.wanted.send_modify(|wanted| wanted.door = Door::Gone);
            let _ = route.is.wait_for(|is| *is == Door::Gone).await;
        }
    }

    /// Closes every listener and connection for good.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.routes.clear();
        drop(table);
        self.0.paused.send_replace(false);
    }

    pub(super) fn pause(&self, paused: bool) {
        self.0.paused.send_replace(paused);
    }

    /// Waits while everything is paused.
    pub(super) async fn go(&self) {
        // The sender lives in `self`.
        let _ = self.0.paused.subscribe().wait_for(|paused| !paused).await;
    }
}

impl Shown for &Routes {
    fn address(&mut self, node: i32, host: &str, port: i32) -> Option<(String, i32)> {
        let upstream = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let known = {
            let mut table = self.lock();
            let route = table.routes.values_mut().find(|it| it.node == Some(node));
            route.map(|route| {
                route.upstream.clone_from(&upstream);
                route.local
            })
        };
        let local = match known {
            Some(local) => local,
            None => self.open(Some(node), upstream).ok()?,
        };
        Some((local.ip().to_string(), i32::from(local.port())))
    }

    fn id(&self, node: i32) -> i32 {
        self.lock().ids.get(&node).copied().unwrap_or(node)
    }

    fn renumbers(&self) -> bool {
        !self.lock().ids.is_empty()
    }
}

/// Takes connections while the door is open, until it is gone.
async fn serve(
    mut listener: TcpListener,
    local: SocketAddr,
    link: Link,
    told: watch::Sender<Door>,
) {
    let mut wanted = link.wanted.clone();
    loop {
        let door = wanted.borrow_and_update().door;
        match door {
            Door::Open => {
                told.send_replace(Door::Open);
            }
            Door::Gone => break,
            Door::Shut => {
                drop(listener);
                // Bound and not listening: nobody else gets the port, and whoever connects is refused.
                let Ok(held) = hold(local) else { break };
                told.send_replace(Door::Shut);
                let open = wanted.wait_for(|wanted| wanted.door != Door::Shut).await;
                if open.is_err() {
                    break;
                }
                let Ok(again) = held.listen(BACKLOG) else {
                    break;
                };
                listener = again;
                continue;
            }
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { break },
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(relay(client, link.clone()));
            },
        }
    }
    drop(link);
    told.send_replace(Door::Gone);
}

fn hold(local: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    Ok(socket)
}

/// Waits until the connections of a listener have to close.
pub(super) async fn closing(mut wanted: watch::Receiver<Wanted>) {
    let cuts = wanted.borrow().cuts;
    let _ = wanted
        .wait_for(|wanted| wanted.door != Door::Open || wanted.cuts != cuts)
        .await;
}
