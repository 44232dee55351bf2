//! Every call's future, dropped at each of its awaits in turn: the client is as good as before, and so are its connections.

use std::time::Duration;

use highwater::Client;
use highwater::testing::{ApiKey, TestCluster};
use tokio::time::timeout;

use crate::calls::{Brokers, CALLS};
use crate::drop_after::drop_after;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// More awaits than any call has.
const POLLS_MAX: usize = 1000;

async fn cluster() -> TestCluster {
    let cluster = TestCluster::builder().topic("t", 2).topic("u", 2);
    cluster.start().await.unwrap()
}

/// The ids of the one broker there is.
async fn brokers(client: &Client) -> Brokers {
    let described = client.admin().describe_cluster().await.unwrap();
    let id = described.brokers[0].id;
    id..id + 1
}

/// Asks the broker that all other calls ask, and its coordinator.
async fn is_well(client: &Client) {
    let admin = client.admin();
    let described = timeout(LONG, admin.describe_topics(["t"])).await;
    assert!(described.expect("it ends").unwrap()["t"].is_ok());
    let groups = timeout(LONG, admin.list_groups()).await;
    groups.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_call_may_be_dropped_anywhere_and_leaves_no_connection_that_answers_another_question() {
    let cluster = cluster().await;
    let client = cluster.client();
    for (_, call) in CALLS {
        call(client.admin(), brokers(&client).await).await;
    }
    is_well(&client).await;
    let brokers = brokers(&client).await;
    let connections = cluster.requests(ApiKey::ApiVersions);
    let mut dropped = 0;
    for (name, call) in CALLS
        .into_iter()
        .filter(|(name, _)| *name != "api_versions")
    {
        for polls in 0..POLLS_MAX {
            let called = call(client.admin(), brokers.clone());
            let done = drop_after(polls, called).await.is_some();
            is_well(&client).await;
            if done {
                break;
            }
            dropped += 1;
            assert!(polls + 1 < POLLS_MAX, "{name} is still not done");
        }
    }
    // Before each call's first await and while its answer was on its way, at least.
    assert!(dropped >= 2 * (CALLS.len() - 1), "{dropped} dropped");
    // All of that went over the connections that were there: none had to be given up.
    assert_eq!(cluster.requests(ApiKey::ApiVersions), connections);
}

#[tokio::test]
async fn a_call_may_be_dropped_while_it_connects() {
    let cluster = cluster().await;
    let brokers = brokers(&cluster.client()).await;
    for (name, call) in CALLS {
        for polls in 0..POLLS_MAX {
            let client = Client::builder(cluster.bootstrap())
                .connect()
                .await
                .unwrap();
            let called = call(client.admin(), brokers.clone());
            let done = drop_after(polls, called).await.is_some();
            is_well(&client).await;
            if done {
                break;
            }
            assert!(polls + 1 < POLLS_MAX, "{name} is still not done");
        }
    }
}
