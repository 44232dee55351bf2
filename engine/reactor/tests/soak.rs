//! The soak of `examples/soak.rs`, short and bounded in round trips: a program of its own, because the engines are
//! this same program started again.

#[path = "../examples/soak.rs"]
mod soak;

fn main() -> std::io::Result<()> {
    if std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "--serve")
    {
        return soak::main();
    }
    let plan = soak::Plan {
        connections: 8,
        seconds: None,
        round_trips: Some(2_000),
        pause_ms_max: 50,
        ..soak::Plan::default()
    };
    let outcome = soak::soak(plan)?;
    println!("{outcome:?}");
    assert_eq!(outcome.stalled, 0, "{outcome:?}");
    assert_eq!(outcome.round_trips, 4 * 8 * 2_000);
    Ok(())
}
