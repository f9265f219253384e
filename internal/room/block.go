package room

// A Block says that Blocker has blocked Blocked.
type Block struct{ Blocker, Blocked UserID }

// Blocks says which sides of a room have blocked the other one.
type Blocks struct{ ByCustomer, ByTherapist bool }
