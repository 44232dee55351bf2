//! Partition directories that the metadata do not have: left by a deletion that a crash cut short, or brought by somebody.
//! The first are deleted, the others moved aside, where nothing reads them and nothing is lost.

use std::collections::BTreeSet;

use highwater_broker::metadata::image::{Image, METADATA_TOPIC};
use highwater_log::data_dir::PartitionDir;
use highwater_log::{DataDir, names};
use highwater_reactor::Reactor;
use uuid::Uuid;

use crate::error::StartError;

/// What shall become of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is a partition's.
    Stays,
    /// Its topic was deleted.
    Goes,
    /// Nobody knows its topic.
    MovesAside,
}

/// Moves every directory out of the way that is not a partition of `image`; `removed` are the ids of deleted topics.
pub(crate) async fn move_aside(
    reactor: &Reactor,
    data_dir: &DataDir,
    image: &Image,
    removed: &BTreeSet<Uuid>,
) -> Result<(), StartError> {
    let mut moved = false;
    for dir in data_dir.partitions()? {
        let fate = fate(image, removed, &dir);
        if fate == Fate::Stays {
            continue;
        }
        let id = dir.topic_id.unwrap_or_else(Uuid::nil);
        let deleted = names::deleted_directory(&dir.topic, dir.partition, &id);
        let name = match fate {
            Fate::Goes => deleted,
            Fate::Stays | Fate::MovesAside => deleted.replace("-delete", "-stray"),
        };
        let stray = |source| StartError::Stray {
            path: dir.path.display().to_string(),
            source,
        };
        let to = data_dir.path().join(&name);
        reactor.rename(&dir.path, &to).map_err(stray)?;
        moved = true;
        if fate == Fate::Goes {
            tracing::info!(directory = name, "the deletion of a topic is finished");
            data_dir.add_leftover(to);
        } else {
            tracing::warn!(
                topic = dir.topic,
                partition = dir.partition,
                "a directory without a topic is moved aside to {name}"
            );
        }
    }
    if moved {
        reactor
            .sync_dir(data_dir.path())
            .await
            .map_err(|source| StartError::Stray {
                path: data_dir.path().display().to_string(),
                source,
            })?;
    }
    Ok(())
}

fn fate(image: &Image, removed: &BTreeSet<Uuid>, dir: &PartitionDir) -> Fate {
    if dir.topic == METADATA_TOPIC {
        return Fate::Stays;
    }
    let topic = image.topic(&dir.topic);
    let has = topic.is_some_and(|topic| {
        usize::try_from(dir.partition).is_ok_and(|index| index < topic.partitions.len())
    });
    match dir.topic_id {
        // A directory whose own note of its topic is lost is believed by its name.
        None if has => Fate::Stays,
        Some(id) if has && topic.is_some_and(|topic| topic.id == id) => Fate::Stays,
        Some(id) if removed.contains(&id) => Fate::Goes,
        Some(_) | None => Fate::MovesAside,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use highwater_broker::config::Overrides;
    use highwater_broker::metadata::image::{Node, PartitionState};
    use highwater_record::{LeaderEpoch, Offset};

    use super::*;

    fn image() -> Image {
        let node = Node::single(1, "h", 1);
        let mut draft = Image::empty("c", node, Uuid::nil(), Overrides::new()).draft();
        draft.add_topic("a", Uuid::from_u128(7));
        let state = PartitionState {
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: 0,
        };
        assert!(draft.put_partition(&Uuid::from_u128(7), 0, state));
        draft.finish(Offset::new(2))
    }

    fn dir(topic: &str, partition: i32, id: Option<u128>) -> PartitionDir {
        PartitionDir {
            topic: topic.to_owned(),
            partition,
            path: PathBuf::new(),
            topic_id: id.map(Uuid::from_u128),
        }
    }

    #[test]
    fn only_what_is_known_to_be_deleted_goes() {
        let removed = BTreeSet::from([Uuid::from_u128(5)]);
        let fate = |dir| super::fate(&image(), &removed, &dir);
        assert_eq!(fate(dir("a", 0, Some(7))), Fate::Stays);
        assert_eq!(fate(dir("a", 0, None)), Fate::Stays);
        assert_eq!(fate(dir("a", 0, Some(5))), Fate::Goes);
        assert_eq!(fate(dir("a", 0, Some(6))), Fate::MovesAside);
        assert_eq!(fate(dir("a", 1, Some(7))), Fate::MovesAside);
        assert_eq!(fate(dir("b", 0, None)), Fate::MovesAside);
        assert_eq!(fate(dir("b", 0, Some(5))), Fate::Goes);
        assert_eq!(fate(dir(METADATA_TOPIC, 0, Some(1))), Fate::Stays);
    }
}
