//! Circles in graphs: of includes, typedefs, constants, and types that contain themselves.
//!
//! Nothing here recurses, because the depth of the graph depends on the IDL.

use std::collections::VecDeque;

/// A directed graph; nodes are numbered from 0.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) edges: Vec<Vec<usize>>,
}

impl Graph {
    /// The number of each node's strongly connected component (Tarjan's algorithm, with a stack of our own).
    pub(crate) fn components(&self) -> Vec<usize> {
        const NONE: usize = usize::MAX;
        let len = self.edges.len();
        let (mut index, mut low, mut component) = (vec![NONE; len], vec![0; len], vec![NONE; len]);
        let (mut path, mut work) = (Vec::new(), Vec::new());
        let (mut next_index, mut next_component) = (0, 0);
        for root in 0..len {
            if index[root] != NONE {
                continue;
            }
            work.push((root, 0));
            while let Some((node, edge)) = work.pop() {
                if edge == 0 {
                    index[node] = next_index;
                    low[node] = next_index;
                    next_index += 1;
                    path.push(node);
                }
                if let Some(&to) = self.edges[node].get(edge) {
                    work.push((node, edge + 1));
                    if index[to] == NONE {
                        work.push((to, 0));
                    } else if component[to] == NONE {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                if low[node] == index[node] {
                    while let Some(member) = path.pop() {
                        component[member] = next_component;
                        if member == node {
                            break;
                        }
                    }
                    next_component += 1;
                }
                if let Some(&(parent, _)) = work.last() {
                    low[parent] = low[parent].min(low[node]);
                }
            }
        }
        component
    }

    /// For each component that has a circle: a shortest one through its first node, which comes first.
    pub(crate) fn circles(&self) -> Vec<Vec<usize>> {
        let component = self.components();
        let mut seen = vec![false; self.edges.len()];
        let mut circles = Vec::new();
        for start in 0..self.edges.len() {
            if !std::mem::replace(&mut seen[component[start]], true) {
                circles.extend(self.shortest_circle(start, &component));
            }
        }
        circles
    }

    fn shortest_circle(&self, start: usize, component: &[usize]) -> Option<Vec<usize>> {
        let mut before = std::collections::HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &to in &self.edges[node] {
                if to == start {
                    let back = std::iter::successors(Some(node), |node| before.get(node).copied());
                    let mut circle: Vec<usize> = back.collect();
                    circle.reverse();
                    return Some(circle);
                }
                if component[to] == component[start] && !before.contains_key(&to) {
                    before.insert(to, node);
                    queue.push_back(to);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once_and_shortest() {
        let graph = Graph { edges: vec![vec![1], vec![2, 3], vec![0], vec![0, 4], vec![4], vec![0]] };
        assert_eq!(graph.circles(), [vec![0, 1, 2], vec![4]]);
    }

    #[test]
    fn nodes_that_reach_each_other_are_one_component() {
        let graph = Graph { edges: vec![vec![1], vec![0, 2], vec![3], vec![2], vec![]] };
        let component = graph.components();
        assert_eq!(component[0], component[1]);
        assert_eq!(component[2], component[3]);
        assert_ne!(component[0], component[2]);
        assert_ne!(component[4], component[0]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let edges = (1..=200_000).map(|to| if to == 200_000 { vec![0] } else { vec![to] }).collect();
        assert_eq!(Graph { edges }.circles()[0].len(), 200_000);
    }
}
