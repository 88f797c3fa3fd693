// How jemalloc, which the server is linked with, is set up.
//
// Freed memory goes back to the system with one system call a piece, and each of them makes the
// other cores flush their page tables: a burst of them was seen to hold the loop's thread for 50
// ms. So a thread of jemalloc's own makes them; and memory stays for a minute before it goes, since
// what a flush of the log or a snapshot has freed is asked for again by the next one, and a fresh
// page costs more than a used one.
//
// MALLOC_CONF in the environment goes before it.
extern "C" {
extern const char* malloc_conf;  // jemalloc looks for a definition of it
const char* malloc_conf = "background_thread:true,dirty_decay_ms:60000";
}
