//! Waiting within a shard: nobody is forgotten, whatever the order of turns.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use highwater_reactor::local::{
    Either, Latch, Notify, Queue, Semaphore, join, join_all, oneshot, race,
};
use highwater_reactor::sim::World;

const SEEDS: std::ops::Range<u64> = 0..50;

#[test]
fn a_notification_wakes_all_who_waited_and_nobody_else() {
    for seed in SEEDS {
        let world = World::new(seed);
        let reactor = world.shard(0);
        world.run(async {
            let bell = Notify::new();
            let tasks: Vec<_> = (0..10).map(|_| reactor.spawn(bell.notified())).collect();
            bell.notify_all();
            for task in tasks {
                task.await;
            }
            let late = reactor.timeout(Duration::from_secs(1), bell.notified());
            assert_eq!(late.await, None);
        });
    }
}

#[test]
fn a_latch_lets_everyone_pass_once_it_is_open() {
    let world = World::new(1);
    let reactor = world.shard(0);
    world.run(async {
        let latch = Latch::new();
        let passing = latch.clone();
        let task = reactor.spawn(async move { passing.wait().await });
        assert!(!latch.is_open());
        latch.open();
        latch.open();
        task.await;
        latch.wait().await;
        assert!(latch.is_open());
    });
}

#[test]
fn a_semaphore_is_never_overdrawn_and_serves_in_order() {
    for seed in SEEDS {
        let world = World::new(seed);
        let reactor = world.shard(0);
        world.run(async {
            let limit = Semaphore::new(3);
            let (held, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let served = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..30_usize)
                .map(|n| {
                    let acquire = limit.acquire(n % 3 + 1);
                    let (held, most) = (Rc::clone(&held), Rc::clone(&most));
                    let (served, reactor) = (Rc::clone(&served), reactor.clone());
                    reactor.clone().spawn(async move {
                        let permit = acquire.await;
                        served.borrow_mut().push(n);
                        held.set(held.get() + n % 3 + 1);
                        most.set(most.get().max(held.get()));
                        reactor
                            .sleep(Duration::from_micros(reactor.random_u64() % 100))
                            .await;
                        held.set(held.get() - (n % 3 + 1));
                        drop(permit);
                    })
                })
                .collect();
            join_all(tasks).await;
            assert!(most.get() <= 3);
            assert_eq!(served.borrow().len(), 30);
            assert_eq!(limit.free(), 3);
        });
    }
}

#[test]
fn who_gives_up_waiting_does_not_hold_up_the_line() {
    for seed in SEEDS {
        let world = World::new(seed);
        let reactor = world.shard(0);
        world.run(async {
            let limit = Semaphore::new(2);
            let all = limit.acquire(2).await;
            let second = Duration::from_secs(1);
            // Wants more than will come free at first, and gives up.
            let greedy = reactor.timeout(second, limit.acquire(3));
            let modest = async {
                reactor.sleep(Duration::from_millis(1)).await;
                reactor.timeout(second * 10, limit.acquire(1)).await
            };
            let release = async {
                reactor.sleep(Duration::from_millis(2)).await;
                drop(all);
            };
            let ((greedy, modest), ()) = join(join(greedy, modest), release).await;
            assert!(greedy.is_none());
            assert!(modest.is_some());
            assert!(limit.try_acquire(2).is_none());
            drop(modest);
            assert!(limit.try_acquire(2).is_some());
        });
    }
}

#[test]
fn a_queue_of_several_producers_and_consumers_loses_nothing() {
    for seed in SEEDS {
        let world = World::new(seed);
        let reactor = world.shard(0);
        world.run(async {
            let queue = Queue::new(2);
            let producers = (0..4_u32).map(|producer| {
                let (queue, reactor) = (queue.clone(), reactor.clone());
                reactor.clone().spawn(async move {
                    for n in 0..25 {
                        if n % 7 == 3 {
                            // Gives up at once, and comes back.
                            let hurried = race(queue.push(u32::MAX), async {}).await;
                            assert!(!matches!(hurried, Either::Left(Err(_))));
                        }
                        queue.push(producer * 100 + n).await.unwrap();
                        if n % 5 == 0 {
                            reactor.yield_now().await;
                        }
                    }
                })
            });
            let producers: Vec<_> = producers.collect();
            let consumers = (0..3).map(|_| {
                let (queue, reactor) = (queue.clone(), reactor.clone());
                reactor.clone().spawn(async move {
                    let mut seen = Vec::new();
                    loop {
                        // A consumer that loses patience loses no item.
                        let patience = Duration::from_micros(reactor.random_u64() % 20);
                        match reactor.timeout(patience, queue.pop()).await {
                            Some(Some(item)) => seen.push(item),
                            Some(None) => return seen,
                            None => {}
                        }
                    }
                })
            });
            let consumers: Vec<_> = consumers.collect();
            join_all(producers).await;
            queue.close();
            let mut seen = join_all(consumers).await.concat();
            seen.retain(|item| *item != u32::MAX);
            seen.sort_unstable();
            let expected: Vec<u32> = (0..4)
                .flat_map(|producer| (0..25).map(move |n| producer * 100 + n))
                .collect();
            assert_eq!(seen, expected);
        });
    }
}

#[test]
fn a_race_is_won_by_the_first_and_a_join_waits_for_the_last() {
    let world = World::new(1);
    let reactor = world.shard(0);
    world.run(async {
        let soon = || reactor.sleep(Duration::from_millis(1));
        let later = || reactor.sleep(Duration::from_millis(2));
        assert_eq!(race(soon(), later()).await, Either::Left(()));
        assert_eq!(race(later(), soon()).await, Either::Right(()));
        assert_eq!(race(async { 1 }, async { 2 }).await, Either::Left(1));
        assert_eq!(race(pending::<()>(), async { 2 }).await, Either::Right(2));
        let before = reactor.now();
        join(soon(), later()).await;
        assert!(reactor.now() - before >= Duration::from_millis(2));
        let outputs = join_all((0..5).map(|n| {
            let nap = reactor.sleep(Duration::from_millis(5 - n));
            async move {
                nap.await;
                n
            }
        }));
        assert_eq!(outputs.await, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_oneshot_can_be_given_up_on_either_side() {
    let world = World::new(1);
    let reactor = world.shard(0);
    world.run(async {
        let (sender, receiver) = oneshot::channel();
        let task = reactor.spawn(receiver);
        reactor.yield_now().await;
        assert!(!sender.is_closed());
        sender.send(5).unwrap();
        assert_eq!(task.await, Ok(5));
        let (sender, receiver) = oneshot::channel::<u32>();
        drop(reactor.spawn(receiver));
        reactor.sleep(Duration::from_millis(1)).await;
        assert!(sender.is_closed());
    });
}
