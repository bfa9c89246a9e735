#!/usr/bin/env php
<?php
// PHP. data -> data; {"fail": message} -> an error

ini_set('display_errors', 'stderr'); // on standard output a warning could be taken for an answer
while (($line = fgets(STDIN)) !== false) {
    try {
        // objects stay objects, for an array cannot tell {} from []
        $data = json_decode($line, flags: JSON_THROW_ON_ERROR)->data;
        $answer = is_object($data) && property_exists($data, 'fail')
            ? ['status' => 'error', 'error' => ['type' => 'Asked', 'message' => $data->fail]]
            : ['status' => 'ok', 'result' => $data];
    } catch (JsonException $e) { // PHP has no objects with a name that starts with "\u0000"
        $error = ['type' => 'JsonException', 'message' => $e->getMessage()];
        $answer = ['status' => 'error', 'error' => $error];
    }
    echo json_encode($answer, JSON_THROW_ON_ERROR), "\n";
}
