struct P { 1: i32 x = 1; 2: optional list<P> more = [{"x": 2, "more": []}] }
union U { 1: P p; 2: string s = "\t\"\\" }
enum E { A = 0xF, B = -1 }
const P CORNER = {"x": 0x7fffffff, "more": [{}]}
const U PICKED = {"p": CORNER}
const map<E, set<double>> M = {E.A: [1, 2.5, 1e400], -1: []}
const map<P, list<U>> BIG = {{"x": 3}: [{"s": 'é'}, PICKED]}
const bool YES = true const bool NO = 0
const binary RAW = "raw"
const i64 MIN = -9223372036854775808
const list<E> ES = [E.A, 15, B]
