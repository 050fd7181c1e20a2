@OC-CTRL-2080 @OC-ADAPT-5019
Feature: Embedding and rerank
  What gives no text goes through the same queue: admitted, streamed and counted like a completion, answered by one
  result.

  Scenario: an embedding has one vector for each input
    Given a server that serves embedding
    When an embedding of 3 texts is read to the end
    Then its result has 3 vectors of one length
    And it has no token, and its tokens in are counted

  @ORCH-3045
  Scenario: the same text has the same vector, wherever it stands
    Given a server that serves embedding
    When the same texts are embedded forwards and backwards
    Then their vectors are the same in the other order

  @OC-CTRL-2081
  Scenario: a rerank has one figure for each document
    Given a server that serves rerank
    When a rerank of 3 documents is read to the end
    Then its result has 3 scores
    And it has no token, and its tokens in are counted

  @OC-CTRL-2081
  Scenario: the scores of a rerank stand in the order of the documents
    Given a server that serves rerank
    When the same documents are reranked forwards and backwards
    Then their scores are the same in the other order

  @OC-CORE-1036
  Scenario: every input of an embedding has the whole context to itself
    Given a server that serves embedding
    When an embedding of 3 texts that fit the context one by one only is read to the end
    Then its result has 3 vectors of one length

  @OC-CORE-1036 @ORCH-3015
  Scenario: an input that does not fit the context is refused
    Given a server that serves embedding
    When an embedding of a text above the context is submitted
    Then it is refused with INVALID_PARAMS

  @OC-CTRL-2010
  Scenario Outline: a pool that only completes refuses the rest
    Given a server whose engine only completes
    When a task for <workload> is submitted
    Then it is refused with INVALID_PARAMS

    Examples:
      | workload  |
      | embedding |
      | rerank    |
