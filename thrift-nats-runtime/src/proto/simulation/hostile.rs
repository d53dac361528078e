//! A hostile peer: a client, a server, or a third party that knows no session, and sends whatever it likes.
//!
//! [`attacker`] is the hostile party. [`arena`] runs it against an honest server and an honest client, checks every message
//! that these publish, and the memory that they hold.

mod arena;
mod attacker;

use std::cell::RefCell;
use std::collections::BTreeMap;

use self::arena::Arena;
use super::for_seeds;

/// The number of seeds, unless the environment variable `SIMULATION_SEEDS` names another.
const SEEDS: u64 = 15;

fn seeds() -> std::ops::Range<u64> {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    0..seeds.unwrap_or(SEEDS)
}

#[test]
fn a_hostile_peer_harms_no_other_session() {
    let ends = RefCell::new(BTreeMap::<_, u32>::new());
    let sessions = RefCell::new(0);
    for_seeds(seeds(), |seed| {
        let mut arena = Arena::new(seed);
        arena.run();
        *sessions.borrow_mut() += arena.hostile_sessions();
        for (end, count) in arena.ends {
            *ends.borrow_mut().entry(end).or_default() += count;
        }
    });
    let ends = ends.into_inner();
    println!("{} hostile sessions: {ends:#?}", sessions.into_inner());
}
