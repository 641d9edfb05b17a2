// PrefixCache: what is known of the beginnings of sequences, wherever it lies (in pages of the cache, in
// snapshots of recurrent states, in the store outside), and how a sequence gets it.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/page_pool.h"
#include "engine/page_store.h"
#include "engine/sequence.h"

namespace rf {

// Of a model with recurrent states a beginning can be gone on from only where its states are known.
class PrefixCache {
 public:
  struct Size {
    int pages = 0;
    int page_tokens = 0;
    int snapshots = 0;       // of recurrent states
    int first_snapshot = 0;  // the states' slot that the first of them lies in, those of sequences before it
  };
  // What leaves the pages goes to `store`, which must outlive this.
  PrefixCache(const Size& size, PageStore& store);

  PagePool& pages() { return pages_; }
  const PagePool& pages() const { return pages_; }
  int page_tokens() const { return pages_.page_tokens(); }
  bool has_states() const { return store_.memory().state_bytes() > 0; }

  struct Known {
    std::vector<std::int32_t> held{};  // pages of the cache that stand for the beginning, held by the caller
    std::vector<Prefix> prefixes{};    // up to the end of each page that can be used, those of `held` first
    int all = 0;                       // pages known, with those that lack a state to go on from
    bool exact = false;                // the sequence can go on just where it was sent back
  };
  Known known(const Sequence& sequence);
  // How many pages that is.
  int known_pages(const Sequence& sequence);

  // Whether the files with its beginning, if there are any, have been read into memory; if not, that begins
  // or goes on in the background where it `may_begin`.
  bool fetched(Sequence& sequence, bool may_begin);
  // Waits for one that is under way, but not for long; false: there is no folder.
  bool wait_for_fetch();

  // Gives a sequence without pages those of `known`, and `missing` more behind the ones held, of which there
  // must be as many; brings its state, in the slot it has, to where it goes on. False when what was known
  // turns out to be gone: it has no pages then, and the next known() knows less.
  bool take_up(Sequence& sequence, Known known, int missing);
  // `sequence`, which has its pages, goes on from the last token that `twin` has read like it, if what lacks
  // up to there lies in one page: it gets a copy. Not of a model with states.
  void take_from_twin(Sequence& sequence, const Sequence& twin);
  // Publishes the pages that it has filled.
  void publish(Sequence& sequence);
  // Of its states, at the end of the page that it published last; `answers`: it moves along with the answer.
  void take_snapshot(Sequence& sequence, bool answers);
  // It will lose its pages: keeps what of them would be lost.
  void put_aside(const Sequence& sequence);
  // It is over: its pages are to be saved.
  void note_finished(const Sequence& sequence);
  void release(Sequence& sequence) { pages_.release(sequence.pages); }

  // Copies a page of those that are over to the folder. False: there is nothing to be saved.
  bool save_one();
  bool unsaved() const { return !unsaved_.empty(); }

  // The cache was lost, and what lies outside is of no use to the next one, which has `identity`.
  void forget_all(std::uint64_t identity);
  // Tokens that were read again since their sequence had been sent back.
  std::uint64_t read_again() const { return read_again_; }

 private:
  bool restore(Sequence& sequence, const Known& known);
  bool has_state(const Known& known, std::size_t pages);
  int slot_of(int snapshot) const { return first_snapshot_ + snapshot; }
  void keep(std::int32_t page, bool state_only);

  PagePool pages_;
  PageStore& store_;
  const int first_snapshot_;
  std::deque<std::int32_t> unsaved_;
  std::uint64_t read_again_ = 0;
};

}  // namespace rf
