//! Every call ends when its time is over, however many brokers, groups and pages it is about, and whoever keeps silent.

use std::time::Duration;

use highwater::Client;
use highwater::testing::wire::Array;
use highwater::testing::wire::message::find_coordinator::Coordinator;
use highwater::testing::wire::message::{
    AlterConfigsRequest, ConsumerGroupDescribeRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTopicPartitionsRequest, FindCoordinatorRequest,
    FindCoordinatorResponse, IncrementalAlterConfigsRequest, LeaveGroupRequest,
    ListConfigResourcesRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest,
};
use highwater::testing::{ApiKey, FakeBroker, Fault};
use tokio::time::Instant;

use crate::calls::CALLS;

const PATIENCE: Duration = Duration::from_secs(3);
/// Of a clock that does not go by itself.
const SLACK: Duration = Duration::from_millis(10);

/// Brokers that offer everything, and say nothing to what they have not been taught.
async fn silent() -> FakeBroker {
    let broker = FakeBroker::start(3).await.unwrap();
    broker.topic("t", 3);
    broker.topic("u", 3);
    macro_rules! offered {
        ($($request:ty),* $(,)?) => {$(broker.script::<$request>(|_| None);)*};
    }
    offered![
        AlterConfigsRequest<'_>,
        ConsumerGroupDescribeRequest<'_>,
        CreatePartitionsRequest<'_>,
        CreateTopicsRequest<'_>,
        DeleteGroupsRequest<'_>,
        DeleteRecordsRequest<'_>,
        DeleteTopicsRequest<'_>,
        DescribeClusterRequest,
        DescribeConfigsRequest<'_>,
        DescribeGroupsRequest<'_>,
        DescribeLogDirsRequest<'_>,
        DescribeProducersRequest<'_>,
        DescribeTopicPartitionsRequest<'_>,
        FindCoordinatorRequest<'_>,
        IncrementalAlterConfigsRequest<'_>,
        LeaveGroupRequest<'_>,
        ListConfigResourcesRequest<'_>,
        ListGroupsRequest<'_>,
        OffsetCommitRequest<'_>,
        OffsetDeleteRequest<'_>,
        OffsetFetchRequest<'_>,
    ];
    broker
}

/// The first broker coordinates every group.
pub(crate) fn coordinate(broker: &FakeBroker) {
    let port = broker.bootstrap().rsplit(':').next().unwrap().parse();
    let port = port.unwrap();
    broker.script::<FindCoordinatorRequest<'_>>(move |asked| {
        let request: FindCoordinatorRequest<'_> = asked.request().unwrap();
        let found = request.coordinator_keys.iter().map(|key| Coordinator {
            key,
            host: "127.0.0.1",
            port,
            ..Coordinator::default()
        });
        asked.answer(&FindCoordinatorResponse {
            coordinators: found.collect::<Array<'_, _>>(),
            ..FindCoordinatorResponse::default()
        })
    });
}

/// How long each call takes that is given [`PATIENCE`].
async fn all_end(broker: &FakeBroker, request_timeout: Duration, silence: &[ApiKey]) {
    for (name, call) in CALLS {
        let client = Client::builder(broker.bootstrap()).request_timeout(request_timeout);
        let client = client.connect().await.unwrap();
        let rules: Vec<_> = silence
            .iter()
            .map(|api| broker.fail(*api, Fault::Lose).always())
            .collect();
        let begun = Instant::now();
        call(client.admin().timeout(PATIENCE), 0..3).await;
        let took = begun.elapsed();
        assert!(took <= PATIENCE + SLACK, "{name} took {took:?}");
        rules.iter().for_each(highwater::testing::Rule::stop);
    }
}

const SHORT: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_answers_end_in_time() {
    let broker = silent().await;
    let data = [ApiKey::ListOffsets, ApiKey::OffsetForLeaderEpoch];
    for request_timeout in [SHORT, LONG] {
        all_end(&broker, request_timeout, &data).await;
        all_end(&broker, request_timeout, &[ApiKey::Metadata]).await;
    }
    coordinate(&broker);
    for request_timeout in [SHORT, LONG] {
        all_end(&broker, request_timeout, &data).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_to_brokers_that_take_no_connection_end_in_time() {
    let broker = silent().await;
    coordinate(&broker);
    for request_timeout in [SHORT, LONG] {
        all_end(&broker, request_timeout, &[ApiKey::ApiVersions]).await;
    }
}
