;; A plugin without a language runtime, for what a compiler would not write: the test puts what it does into its
;; request phase, and more core instances beside its own.
(component
  (import "gateway:plugin/types@0.2.0" (instance $types
    (type $header' (record (field "name" string) (field "value" (list u8))))
    (export "header" (type $header (eq $header')))
    (type $response'
      (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (export "response" (type $response (eq $response')))
    (type $flow' (variant (case "next") (case "respond" $response)))
    (export "flow" (type $flow (eq $flow')))
    (type $phases'
      (flags "request" "request-body" "response" "response-body" "request-stream" "response-stream" "complete"))
    (export "phases" (type $phases (eq $phases')))
    (type $other' (enum "pass" "refuse"))
    (export "other" (type $other (eq $other')))
    (type $response-types'
      (record (field "touched" (list string)) (field "passed" (list string)) (field "other" $other)))
    (export "response-types" (type $response-types (eq $response-types')))
    (type $needs'
      (record
        (field "upstreams" (list string)) (field "secrets" (list string)) (field "state" bool)
        (field "request-headers-read" (list string)) (field "request-headers-written" (list string))
        (field "response-headers-read" (list string)) (field "response-headers-written" (list string))))
    (export "needs" (type $needs (eq $needs')))
    (type $wants'
      (record (field "phases" $phases) (field "response-types" $response-types) (field "needs" $needs)))
    (export "wants" (type $wants (eq $wants')))
    (type $ending' (record (field "chunk" (list u8)) (field "trailers" (list $header))))
    (export "ending" (type $ending (eq $ending')))
    (type $config-error' (record (field "key" string) (field "message" string)))
    (export "config-error" (type $config-error (eq $config-error')))
    (type $metadata'
      (record
        (field "name" string) (field "version" string) (field "description" string) (field "config-schema" string)))
    (export "metadata" (type $metadata (eq $metadata')))))
  (alias export $types "header" (type $header))
  (alias export $types "response" (type $response))
  (alias export $types "flow" (type $flow))
  (alias export $types "phases" (type $phases))
  (alias export $types "other" (type $other))
  (alias export $types "response-types" (type $response-types))
  (alias export $types "needs" (type $needs))
  (alias export $types "wants" (type $wants))
  (alias export $types "ending" (type $ending))
  (alias export $types "config-error" (type $config-error))
  (alias export $types "metadata" (type $metadata))
  (type $configured (resource (rep i32)))
  (type $body-stream (resource (rep i32)))

  ;; Results stand in memory from 0 on. What is 0 there is an empty string or list, `ok`, and `next`.
  (core module $plugin
    (import "host" "new" (func $new (param i32) (result i32)))
    (memory (export "memory") 1)
    (table $table 1 funcref)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "describe") (result i32) (i32.const 0))
    (func (export "configure") (param i32 i32) (result i32)
      (i32.store (i32.const 4) (call $new (i32.const 1)))
      (i32.const 0))
    ;; `request` is wanted, nothing is needed.
    (func (export "wants") (param i32) (result i32)
      (i32.store8 (i32.const 64) (i32.const 1))
      (i32.const 64))
    (func $on-request (export "on-request") (param i32) (result i32)
      (i32.store (i32.const 4) (i32.const 0))
      {act}
      (i32.const 0))
    (func (export "on-response") (param i32) (result i32) unreachable)
    (func (export "stream") (param i32) (result i32) unreachable)
    (func (export "pass") (param i32 i32 i32) (result i32) unreachable)
    (func (export "on-complete") (param i32)))
  (core func $new (canon resource.new $configured))
  (core instance $host (export "new" (func $new)))
  (core instance $i (instantiate $plugin (with "host" (instance $host))))
  {more}

  (func $describe (result $metadata) (canon lift (core func $i "describe") (memory $i "memory")))
  (func $configure (param "config" string) (result (result (own $configured) (error (list $config-error))))
    (canon lift (core func $i "configure") (memory $i "memory") (realloc (func $i "realloc"))))
  (func $wants-of (param "self" (borrow $configured)) (result $wants)
    (canon lift (core func $i "wants") (memory $i "memory")))
  (func $on-request (param "self" (borrow $configured)) (result (result $flow (error string)))
    (canon lift (core func $i "on-request") (memory $i "memory")))
  (func $on-response (param "self" (borrow $configured)) (result (result $flow (error string)))
    (canon lift (core func $i "on-response") (memory $i "memory")))
  (func $stream (param "self" (borrow $configured)) (result (result (own $body-stream) (error string)))
    (canon lift (core func $i "stream") (memory $i "memory")))
  (func $chunk (param "self" (borrow $body-stream)) (param "chunk" (list u8))
    (result (result (list u8) (error string)))
    (canon lift (core func $i "pass") (memory $i "memory") (realloc (func $i "realloc"))))
  (func $end (param "self" (borrow $body-stream)) (param "trailers" (list $header))
    (result (result $ending (error string)))
    (canon lift (core func $i "pass") (memory $i "memory") (realloc (func $i "realloc"))))
  (func $on-complete (param "self" (borrow $configured)) (canon lift (core func $i "on-complete")))

  ;; An exported function may only speak of types that are exported: they get their names here.
  (component $filter
    (import "resource" (type $configured (sub resource)))
    (import "stream-resource" (type $body-stream (sub resource)))
    (type $header' (record (field "name" string) (field "value" (list u8))))
    (import "header" (type $header (eq $header')))
    (type $response'
      (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (import "response" (type $response (eq $response')))
    (type $flow' (variant (case "next") (case "respond" $response)))
    (import "flow" (type $flow (eq $flow')))
    (type $phases'
      (flags "request" "request-body" "response" "response-body" "request-stream" "response-stream" "complete"))
    (import "phases" (type $phases (eq $phases')))
    (type $other' (enum "pass" "refuse"))
    (import "other" (type $other (eq $other')))
    (type $response-types'
      (record (field "touched" (list string)) (field "passed" (list string)) (field "other" $other)))
    (import "response-types" (type $response-types (eq $response-types')))
    (type $needs'
      (record
        (field "upstreams" (list string)) (field "secrets" (list string)) (field "state" bool)
        (field "request-headers-read" (list string)) (field "request-headers-written" (list string))
        (field "response-headers-read" (list string)) (field "response-headers-written" (list string))))
    (import "needs" (type $needs (eq $needs')))
    (type $wants'
      (record (field "phases" $phases) (field "response-types" $response-types) (field "needs" $needs)))
    (import "wants" (type $wants (eq $wants')))
    (type $ending' (record (field "chunk" (list u8)) (field "trailers" (list $header))))
    (import "ending" (type $ending (eq $ending')))
    (type $config-error' (record (field "key" string) (field "message" string)))
    (import "config-error" (type $config-error (eq $config-error')))
    (type $metadata'
      (record
        (field "name" string) (field "version" string) (field "description" string) (field "config-schema" string)))
    (import "metadata" (type $metadata (eq $metadata')))
    (import "describe" (func $describe (result $metadata)))
    (import "configure"
      (func $configure (param "config" string) (result (result (own $configured) (error (list $config-error))))))
    (import "wants-of" (func $wants-of (param "self" (borrow $configured)) (result $wants)))
    (import "on-request"
      (func $on-request (param "self" (borrow $configured)) (result (result $flow (error string)))))
    (import "on-response"
      (func $on-response (param "self" (borrow $configured)) (result (result $flow (error string)))))
    (import "stream"
      (func $stream (param "self" (borrow $configured)) (result (result (own $body-stream) (error string)))))
    (import "chunk"
      (func $chunk (param "self" (borrow $body-stream)) (param "chunk" (list u8))
        (result (result (list u8) (error string)))))
    (import "end"
      (func $end (param "self" (borrow $body-stream)) (param "trailers" (list $header))
        (result (result $ending (error string)))))
    (import "on-complete" (func $on-complete (param "self" (borrow $configured))))

    (export $C "configured" (type $configured))
    (export $S "body-stream" (type $body-stream))
    (export "describe" (func $describe))
    (export "[static]configured.configure" (func $configure)
      (func (param "config" string) (result (result (own $C) (error (list $config-error))))))
    (export "[method]configured.wants" (func $wants-of) (func (param "self" (borrow $C)) (result $wants)))
    (export "[method]configured.on-request" (func $on-request)
      (func (param "self" (borrow $C)) (result (result $flow (error string)))))
    (export "[method]configured.on-response" (func $on-response)
      (func (param "self" (borrow $C)) (result (result $flow (error string)))))
    (export "[method]configured.request-stream" (func $stream)
      (func (param "self" (borrow $C)) (result (result (own $S) (error string)))))
    (export "[method]configured.response-stream" (func $stream)
      (func (param "self" (borrow $C)) (result (result (own $S) (error string)))))
    (export "[method]body-stream.chunk" (func $chunk)
      (func (param "self" (borrow $S)) (param "chunk" (list u8)) (result (result (list u8) (error string)))))
    (export "[method]body-stream.end" (func $end)
      (func (param "self" (borrow $S)) (param "trailers" (list $header)) (result (result $ending (error string)))))
    (export "[method]configured.on-complete" (func $on-complete) (func (param "self" (borrow $C)))))
  (instance $exported (instantiate $filter
    (with "resource" (type $configured))
    (with "stream-resource" (type $body-stream))
    (with "header" (type $header))
    (with "response" (type $response))
    (with "flow" (type $flow))
    (with "phases" (type $phases))
    (with "other" (type $other))
    (with "response-types" (type $response-types))
    (with "needs" (type $needs))
    (with "wants" (type $wants))
    (with "ending" (type $ending))
    (with "config-error" (type $config-error))
    (with "metadata" (type $metadata))
    (with "describe" (func $describe))
    (with "configure" (func $configure))
    (with "wants-of" (func $wants-of))
    (with "on-request" (func $on-request))
    (with "on-response" (func $on-response))
    (with "stream" (func $stream))
    (with "chunk" (func $chunk))
    (with "end" (func $end))
    (with "on-complete" (func $on-complete))))
  (export "gateway:plugin/filter@0.2.0" (instance $exported)))
