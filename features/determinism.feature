@data-plane @ORCH-3045 @OC-CORE-1030
Feature: Determinism
  The same prompt, parameters and seed give the same pieces, on the same engine and model.

  Background:
    Given a server

  @core
  Scenario: the same seed gives the same stream twice
    When the same prompt is decoded with the seeds 11, 11
    Then both streams have the same pieces

  Scenario: another seed gives another stream
    When the same prompt is decoded with the seeds 11, 12, 13
    Then the streams are not all the same

  Scenario: other work on the same engine changes nothing
    When the same prompt is decoded with the seeds 11, 99, 11
    Then the first and the last stream have the same pieces

  @OC-CORE-1033
  Scenario: a task without a seed can be repeated with the seed it was given
    Given a task without a seed that has ended
    When its prompt is decoded with the seed that started named
    Then both streams have the same pieces

  @ORCH-3032 @OC-CORE-1031
  Scenario: a stream names what its pieces depend on
    When the same prompt is decoded with the seeds 11
    Then started names engine_version, sampler_profile_version and seed 11
