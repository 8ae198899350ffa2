/* Loads a SavedModel with TensorFlow's C API, as servers do, and runs requests.

   loader FOLDER LIBRARY...     the libraries hold operations, such as those of
                                TensorFlow Text

   Standard input holds requests, standard output their answers, both in the
   machine's byte order. A request is the number of inputs, the inputs, the
   number of outputs, the outputs; an answer is the outputs' tensors.

     input   name, index, tensor          tensor  type, rank, sizes (int64), data
     output  name, index                  data    strings: each as a name;
     name    length, bytes                        others: bytes

   Numbers are int32 where nothing else is said. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

#define MOST 16

static void check(int is_good, const char *what) {
  if (is_good) return;
  fprintf(stderr, "loader: %s\n", what);
  exit(1);
}

static void check_status(TF_Status *status) {
  check(TF_GetCode(status) == TF_OK, TF_Message(status));
}

static void read_bytes(void *to, size_t size) {
  check(fread(to, 1, size, stdin) == size, "the request ends too early");
}

static void write_bytes(const void *from, size_t size) {
  check(fwrite(from, 1, size, stdout) == size, "cannot write");
}

static int32_t read_int(void) {
  int32_t value;
  read_bytes(&value, sizeof value);
  return value;
}

static TF_Output read_port(TF_Graph *graph) {
  int32_t length = read_int();
  char *name = calloc(length + 1, 1);
  read_bytes(name, length);
  TF_Output port = {TF_GraphOperationByName(graph, name), read_int()};
  check(port.oper != NULL, name);
  free(name);
  return port;
}

static TF_Tensor *read_tensor(void) {
  TF_DataType type = read_int();
  int32_t rank = read_int();
  int64_t sizes[MOST], count = 1;
  check(rank <= MOST, "the rank is too high");
  for (int i = 0; i < rank; i++) {
    read_bytes(&sizes[i], sizeof sizes[i]);
    count *= sizes[i];
  }
  size_t element =
      type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type);
  TF_Tensor *tensor = TF_AllocateTensor(type, sizes, rank, count * element);
  if (type != TF_STRING) {
    read_bytes(TF_TensorData(tensor), count * element);
    return tensor;
  }
  TF_TString *strings = TF_TensorData(tensor);
  for (int64_t i = 0; i < count; i++) {
    int32_t length = read_int();
    char *text = malloc(length + 1);
    read_bytes(text, length);
    TF_StringInit(&strings[i]);
    TF_StringCopy(&strings[i], text, length);
    free(text);
  }
  return tensor;
}

static void write_tensor(const TF_Tensor *tensor) {
  int32_t type = TF_TensorType(tensor), rank = TF_NumDims(tensor);
  write_bytes(&type, sizeof type);
  write_bytes(&rank, sizeof rank);
  for (int i = 0; i < rank; i++) {
    int64_t size = TF_Dim(tensor, i);
    write_bytes(&size, sizeof size);
  }
  if (type != TF_STRING) {
    write_bytes(TF_TensorData(tensor), TF_TensorByteSize(tensor));
    return;
  }
  const TF_TString *strings = TF_TensorData(tensor);
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); i++) {
    int32_t length = TF_StringGetSize(&strings[i]);
    write_bytes(&length, sizeof length);
    write_bytes(TF_StringGetDataPointer(&strings[i]), length);
  }
}

static void answer(TF_Graph *graph, TF_Session *session, int num_inputs) {
  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *given[MOST], *found[MOST];
  check(num_inputs <= MOST, "there are too many inputs");
  for (int i = 0; i < num_inputs; i++) {
    inputs[i] = read_port(graph);
    given[i] = read_tensor();
  }
  int num_outputs = read_int();
  check(num_outputs <= MOST, "there are too many outputs");
  for (int i = 0; i < num_outputs; i++) outputs[i] = read_port(graph);
  TF_Status *status = TF_NewStatus();
  TF_SessionRun(session, NULL, inputs, given, num_inputs, outputs, found,
                num_outputs, NULL, 0, NULL, status);
  check_status(status);
  for (int i = 0; i < num_inputs; i++) TF_DeleteTensor(given[i]);
  for (int i = 0; i < num_outputs; i++) {
    write_tensor(found[i]);
    TF_DeleteTensor(found[i]);
  }
  fflush(stdout);
  TF_DeleteStatus(status);
}

int main(int argc, char **argv) {
  check(argc > 1, "usage: loader FOLDER LIBRARY...");
  TF_Status *status = TF_NewStatus();
  for (int i = 2; i < argc; i++) {
    TF_LoadLibrary(argv[i], status);
    check_status(status);
  }
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, argv[1], tags, 1, graph, NULL, status);
  check_status(status);
  int32_t num_inputs;
  while (fread(&num_inputs, sizeof num_inputs, 1, stdin) == 1)
    answer(graph, session, num_inputs);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
