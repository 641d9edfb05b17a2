// Scheduler: decides what the model reads in each step, and who holds the pages it reads them into.
#pragma once
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/sequence.h"
#include "ops/batch.h"

namespace rf {

// Sequences wait in order of priority, rank and submission; one is let in when there is room among the
// limits.sequences that run and when all of its tokens find pages at once. A step gives each decoding
// sequence its row and shares the rest of the token budget among the prompts, evenly, what one leaves going
// to the others. One whose beginning another is still reading waits until it finds that, to the last token
// where the other one reads the same prompt. Where the budget is
// short of the sequences they take turns; of one whose rows are all wanted so many are read as rows can be
// wanted beside those that decode. When a decoding sequence finds no page, the youngest one is sent
// back to the front of the queue; what it has read is put aside, and it goes on from there when it is let in
// again, as far as there was room for it. A sequence to be read whole must fit a batch, and one whose rows
// are all wanted a batch in which a row can be; such ones are read anew.
//
// Of a model with recurrent states a shared beginning is used up to its last page with a snapshot of them.
// Snapshots are taken where a sequence has read its prompt's full pages, where its beginning parts from
// another one's, and, one that moves along, at the last full page of its answer.
class Scheduler {
 public:
  // What a step reads of one sequence; the pieces' rows lie in the batch in this order.
  struct Piece {
    Sequence* sequence;
    int rows;
    int wanted;     // the number of its last row among the wanted rows, -1: not wanted; where all are, the
                    // others stand before it
    bool decoding;  // it had but one token left to read
  };

  // A single sequence of limits.pages pages must fit in `cache`, whose first limits.sequences state slots are
  // those of running sequences.
  Scheduler(PrefixCache& cache, const BatchLimits& limits);

  // The sequence must stay where it is until remove(), and its pages cover at most limits.pages.
  void add(Sequence& sequence);
  void remove(Sequence& sequence);  // running or waiting; its pages are let go, and saved where they can be
  bool idle() const { return running_.empty() && waiting_.empty(); }
  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return static_cast<int>(waiting_.size()); }

  // Fills batch(). False when there is nothing to read.
  bool next();
  const Batch& batch() const { return batch_; }
  void ask_for_best() { batch_.ask_for_best(); }
  std::span<const Piece> pieces() const { return pieces_; }  // that it was filled with
  // The most rows of prompts in a step that others decode in; 0: none.
  void set_prompt_rows(int most) { prompt_rows_ = most; }
  // To be called when the batch has run: marks its tokens as read and publishes the pages that became full.
  // Returns what was read of whom, valid until the next call of next().
  std::span<const Piece> advance();

  // Sends sequences back until `count` pages are available, for a use of the cache outside of any sequence.
  // Not between next() and advance().
  void make_room(int count);
  // A slot of the states, likewise, until it is given back.
  int take_state();
  void give_back_state(int state) { free_states_.push_back(state); }

  // After the cache was lost: every sequence is read again from its beginning. To be called before the cache
  // forgets all.
  void restart();
  std::uint64_t sent_back() const { return sent_back_; }  // sequences, so far

 private:
  int pages_for(int tokens) const { return (tokens + cache_.page_tokens() - 1) / cache_.page_tokens(); }
  void send_back_youngest();
  void stop(Sequence& sequence);
  int next_border(const Sequence& sequence) const;
  void snapshot_at_border(Sequence& sequence);
  void grow();
  void admit();
  bool let_in(Sequence& sequence);
  const Sequence* twin_of(const Sequence& sequence) const;
  bool follows_a_reader(const Sequence& sequence);
  void share_rows();
  void fill_batch();

  PrefixCache& cache_;
  Batch batch_;
  std::vector<int> free_states_;
  std::vector<Piece> pieces_;
  std::vector<Sequence*> running_;  // in the order in which they were let in
  std::deque<Sequence*> waiting_;   // those let in before and sent back come first
  int prompt_rows_ = std::numeric_limits<int>::max();
  std::uint64_t turn_ = 0;  // of the last piece
  std::uint64_t sent_back_ = 0;
};

}  // namespace rf
